//! Rules of the body.

use super::*;

/// The good section with another body, `kind` its Content-Type.
fn body(kind: &str, body: &str) -> String {
    let (head, _) = GOOD.split_once("Content-Type: multipart").unwrap();
    format!("{head}Content-Type: {kind}\r\n\r\n{body}")
}

const LEAVE: &str = "Unsubscribe: https://acme.example/u/1\r\nGartenweg 5, 10115 Berlin\r\n";
const LEAVE_HTML: &str = "<a href='https://acme.example/u'>Unsubscribe</a> Acme, 10115 Berlin";

/// An alternative of these parts: media type and content.
fn parts(parts: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (media, content) in parts {
        text.push_str(&format!(
            "--x\r\nContent-Type: {media}\r\n\r\n{content}\r\n"
        ));
    }
    body(
        "multipart/alternative; boundary=x",
        &format!("{text}--x--\r\n"),
    )
}

const AMP: &str = "<!doctype html><html \u{26a1}4email><body>Hello</body></html>";

#[test]
fn a_link_to_leave_can_be_seen() {
    const LINK: &str = "<a href=\"https://acme.example/u/1\">Unsubscribe</a>";
    trip(&[
        (LINK, "", "unsubscribe-link", "none of 0 links"),
        (
            LINK,
            "<a href=\"https://acme.example/shop\">Shop</a>",
            "unsubscribe-link",
            "none of 1 links",
        ),
        (
            LINK,
            "<a style='display: none' href=\"https://acme.example/u/1\">Unsubscribe</a>",
            "unsubscribe-link",
            "hidden by its style",
        ),
        (
            LINK,
            "<!-- <a href=\"https://acme.example/u/1\">Unsubscribe</a> -->",
            "unsubscribe-link",
            "none of 0 links",
        ),
        (
            "Gartenweg 5, 10115 Berlin</p>",
            "\u{a9} 2026 Acme</p>",
            "postal-address",
            "postal address",
        ),
    ]);
    for link in [
        "<a href='https://acme.example/u'>Abmelden</a>",
        "<A HREF=https://acme.example/u>Se d&eacute;sabonner</A>",
        "<a href='https://acme.example/unsubscribe?x'>here</a>",
        "<a href='https://acme.example/u'><img src=x alt='Unsubscribe'></a>",
        "<a href='https://acme.example/u'>\u{9000}\u{8ba2}</a>",
        "Reply to unsubscribe@acme.example",
    ] {
        pass(&[(LINK, link, "unsubscribe-link")]);
    }
    let none = Facts::default();
    assert_eq!(of(&body("text/plain", LEAVE), &none), []);
    for text in [
        "Hello 10115 Berlin\r\n",
        "To unsubscribe, call us. 10115 Berlin\r\n",
        "https://acme.example/shop 10115 Berlin\r\n",
    ] {
        assert_eq!(
            names(&of(&body("text/plain", text), &none)),
            ["unsubscribe-link"],
            "{text}"
        );
    }
    for text in [
        "Unsubscribe here:\r\n\r\nhttps://acme.example/u\r\n10115 Berlin",
        "https://acme.example/optout 10115 Berlin",
    ] {
        assert_eq!(of(&body("text/plain", text), &none), [], "{text}");
    }
}

#[test]
fn encodings_are_undone_before_anything_is_looked_for() {
    let quoted = body(
        "text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable",
        "Se d=E9sabonner : https://acme.example/=\r\nu\r\n10115 Berlin",
    );
    assert_eq!(of(&quoted, &Facts::default()), []);
    let base64 = body(
        "text/plain\r\nContent-Transfer-Encoding: base64",
        "VW5zdWJzY3JpYmU6IGh0dHBzOi8vYWNtZS5leGFtcGxlL3UKMTAxMTUgQmVybGluCg==\r\n",
    );
    assert_eq!(of(&base64, &Facts::default()), []);
}

#[test]
fn sizes_are_those_that_are_shown_and_taken() {
    let html = |octets: usize| {
        let filler = "<p>0123456</p>\r\n".repeat(octets / 16);
        parts(&[
            ("text/plain", LEAVE),
            ("text/html", &format!("{filler}{LEAVE_HTML}")),
        ])
    };
    let none = Facts::default();
    assert_eq!(of(&html(100 << 10), &none), []);
    let found = of(&html(103 << 10), &none);
    assert_eq!(names(&found), ["html-clipped"]);
    assert!(found[0].evidence.contains("104448 are shown"), "{found:?}");
    assert_eq!(found[0].level, Level::Info);

    let small = Facts {
        limits: super::super::facts::Limits {
            largest: 100,
            ..Default::default()
        },
        ..Facts::default()
    };
    let found = of(GOOD, &small);
    assert_eq!(names(&found), ["message-size"]);
    let found = of(&body("text/html", LEAVE_HTML), &none);
    assert_eq!(names(&found), ["html-only"]);
}

#[test]
fn programs_are_found_whatever_they_are_called() {
    let attached = |fields: &str| {
        body(
            "multipart/mixed; boundary=m",
            &format!(
                "--m\r\nContent-Type: text/plain\r\n\r\n{LEAVE}\r\n--m\r\n{fields}\r\n\r\nMZ\r\n--m--\r\n"
            ),
        )
    };
    for (fields, name) in [
        (
            "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"Invoice.PDF.exe\"",
            "Invoice.PDF.exe",
        ),
        ("Content-Type: application/pdf; name=a.scr", "a.scr"),
        (
            "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''a%2Ejs",
            "a.js",
        ),
        (
            "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"a.bat. \"",
            "a.bat",
        ),
        ("Content-Type: application/x-msdownload", "without a name"),
    ] {
        expect(
            &of(&attached(fields), &Facts::default()),
            "executable-attachment",
            name,
            fields,
        );
    }
    for fields in [
        "Content-Type: application/pdf; name=report.pdf",
        "Content-Type: text/calendar; name=exe",
    ] {
        assert_eq!(of(&attached(fields), &Facts::default()), [], "{fields}");
    }
}

#[test]
fn links_lead_to_names() {
    trip(&[(
        "Hello. <a",
        "<a href='http://192.0.2.1/x'>x</a><a",
        "url-address",
        "192.0.2.1",
    )]);
    pass(&[(
        "Hello. <a",
        "<a href='http://ip192.acme.example/'>x</a><a",
        "url-address",
    )]);
}

#[test]
fn amp_stands_between_text_and_html() {
    let none = Facts::default();
    let good = [
        ("text/plain", LEAVE),
        ("text/x-amp-html", AMP),
        ("text/html", LEAVE_HTML),
    ];
    assert_eq!(of(&parts(&good), &none), []);

    let [text, amp, html] = good;
    let found = of(&parts(&[text, html, amp]), &none);
    assert_eq!(names(&found), ["amp-order"]);
    assert!(
        found[0]
            .evidence
            .contains("text/plain, text/html, text/x-amp-html")
    );
    assert_eq!(names(&of(&parts(&[amp, text, html]), &none)), ["amp-order"]);
    assert!(names(&of(&parts(&[text, amp]), &none)).contains(&"amp-place"));
    let twice = of(&parts(&[text, amp, amp, html]), &none);
    expect(&twice, "amp-place", "2 AMP parts", "twice");
    let alone = of(&body("text/x-amp-html", AMP), &none);
    expect(&alone, "amp-place", "the message itself", "alone");

    let of_size = |octets: usize| {
        let content = format!(
            "{AMP}{}",
            "0123456789abcde\n"
                .repeat(octets / 16)
                .replace('\n', "\r\n")
        );
        of(&parts(&[text, ("text/x-amp-html", &content), html]), &none)
    };
    assert_eq!(of_size(80_000), []);
    let large = of_size(120_000);
    assert_eq!(
        (names(&large), large[0].level),
        (vec!["amp-size"], Level::Info)
    );
    let larger = of_size(220_000);
    assert_eq!(
        (names(&larger), larger[0].level),
        (vec!["amp-size"], Level::Warn)
    );

    let plain = of(
        &parts(&[text, ("text/x-amp-html", "<html><p>x</html>"), html]),
        &none,
    );
    assert_eq!(names(&plain), ["amp-markup"]);
}

#[test]
fn mime_is_what_a_strict_reader_takes() {
    const KIND: &str = "Content-Type: multipart/alternative; boundary=x\r\n";
    trip(&[
        (
            KIND,
            "Content-Type: multipart/alternative\r\n",
            "mime-broken",
            "multipart/alternative has no boundary",
        ),
        (
            KIND,
            "Content-Type: multipart/alternative; boundary=y\r\n",
            "mime-broken",
            "nowhere in the body",
        ),
        ("--x--\r\n", "", "mime-broken", "not closed"),
        (
            KIND,
            "Content-Type: multipart/alternative; boundary=x\r\nContent-Transfer-Encoding: base64\r\n",
            "mime-broken",
            "transfer encoding",
        ),
        (
            "MIME-Version: 1.0\r\n",
            "",
            "mime-version-missing",
            "no MIME-Version",
        ),
        ("Subject: Spring\r\n", "", "subject-missing", "no subject"),
        (
            "Subject: Spring\r\n",
            "Subject:\r\n",
            "subject-missing",
            "no subject",
        ),
    ]);
    let none = Facts::default();
    let swapped = parts(&[("text/html", LEAVE_HTML), ("text/plain", LEAVE)]);
    assert_eq!(names(&of(&swapped, &none)), ["alternative-order"]);
    let mixed = swapped.replace("multipart/alternative", "multipart/mixed");
    assert_eq!(of(&mixed, &none), []);
    expect(
        &of(&body("text/plain", ""), &none),
        "body-empty",
        "empty",
        "no body",
    );

    let mut deep = LEAVE.to_owned();
    for n in 0..12 {
        deep = format!(
            "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n{deep}\r\n--b{n}--\r\n"
        );
    }
    let deep = body(
        "multipart/mixed; boundary=d",
        &format!("--d\r\n{deep}\r\n--d--\r\n"),
    );
    expect(&of(&deep, &none), "mime-broken", "nested deeper", "deep");
}

#[test]
fn what_was_not_read_is_not_held_to_be_missing() {
    let whole = body(
        "multipart/alternative; boundary=x",
        "--x\r\nContent-Type: text/html\r\n\r\n<p>Hello",
    );
    let end = whole.find("\r\n\r\n").unwrap() + 4;
    let head =
        crate::mail::headers::HeaderSection::parse(whole.as_bytes()[..end].to_vec()).unwrap();
    let cut = Message::of(head, &whole.as_bytes()[end..], 5_000_000);
    assert_eq!(names(&examine(&cut, &Facts::default())), Vec::<&str>::new());
}

/// Once a body that was cut between CR and LF was refused for a CR that stands alone.
#[test]
fn a_cut_between_cr_and_lf_leaves_no_bare_cr() {
    let (head, body) = GOOD.split_once("\r\n\r\n").unwrap();
    let head = format!("{head}\r\n");
    let head = crate::mail::headers::HeaderSection::parse(head.into_bytes()).unwrap();
    let cut = body.find("\r\n").unwrap() + 1;
    let excerpt = body.as_bytes().get(..cut).unwrap();
    let whole = (head.len() + 2 + body.len()) as u64;
    let message = Message::of(head.clone(), excerpt, whole);
    let found = examine(&message, &Facts::default());
    assert!(!names(&found).contains(&"bare-control"), "{found:?}");
    let alone = Message::of(head, b"a\rb\r", 1);
    let found = examine(&alone, &Facts::default());
    assert!(names(&found).contains(&"bare-control"), "{found:?}");
}

//! Rules of the header section.

use super::*;

#[test]
fn from_is_one_address_in_a_domain_of_the_public_dns() {
    const FROM: &str = "From: Acme <news@acme.example>\r\n";
    trip(&[
        (FROM, "", "from-one", "there is no From field"),
        (
            FROM,
            "From: a@acme.example, b@acme.example\r\n",
            "from-one",
            "2 addresses: a@acme.example, b@acme.example",
        ),
        (FROM, "From: Acme\r\n", "from-one", "From:"),
        (FROM, "From: <a@b@acme.example>\r\n", "from-one", "From:"),
        (
            FROM,
            "From: news@localhost\r\n",
            "from-domain-name",
            "news@localhost",
        ),
        (
            FROM,
            "From: news@mail.local\r\n",
            "from-domain-name",
            "news@mail.local",
        ),
        (
            FROM,
            "From: news@[192.0.2.1]\r\n",
            "from-domain-name",
            "[192.0.2.1]",
        ),
        (
            FROM,
            "From: a@acme.example\r\nFrom: b@acme.example\r\n",
            "duplicate-field",
            "From is there 2 times",
        ),
    ]);
    pass(&[
        (FROM, "From: news@acme.example\r\n", "from-one"),
        (
            FROM,
            "From: =?utf-8?q?=C3=84?= <news@acme.example>\r\n",
            "from-one",
        ),
        (FROM, "From: news@acme.test\r\n", "from-domain-name"),
    ]);
}

#[test]
fn what_is_there_once_is_there_once() {
    for name in [
        "To",
        "Cc",
        "Subject",
        "Date",
        "Message-ID",
        "Reply-To",
        "Sender",
        "MIME-Version",
    ] {
        let twice = format!("{name}: a@b.example\r\n{name}: a@b.example\r\nTo: Ann");
        let found = of(&with("To: Ann", &twice), &Facts::default());
        expect(
            &found,
            "duplicate-field",
            &format!("{name} is there "),
            name,
        );
        assert_eq!(found.first().unwrap().level, Level::Block);
    }
    pass(&[(
        "To: Ann",
        "Received: x\r\nReceived: y\r\nTo: Ann",
        "duplicate-field",
    )]);
}

#[test]
fn a_date_and_a_message_id_are_added_and_told_where_they_are_odd() {
    const DATE: &str = "Date: Sun, 1 Nov 2026 09:00:00 +0000\r\n";
    const ID: &str = "Message-ID: <1@acme.example>\r\n";
    trip(&[
        (DATE, "", "date-missing", "no Date"),
        (DATE, "Date: yesterday\r\n", "date-unreadable", "yesterday"),
        (
            DATE,
            "Date: 2026-11-01T09:00:00Z\r\n",
            "date-unreadable",
            "2026-11-01",
        ),
        (ID, "", "message-id-missing", "no Message-ID"),
        (
            ID,
            "Message-ID: 1@acme.example\r\n",
            "message-id-unreadable",
            "1@acme.example",
        ),
        (
            ID,
            "Message-ID: <one two@acme.example>\r\n",
            "message-id-unreadable",
            "one two",
        ),
    ]);
    pass(&[
        (
            DATE,
            "Date: Sun, 01 Nov 2026 10:00:00 +0100 (CET)\r\n",
            "date-unreadable",
        ),
        (DATE, "Date: 1 Nov 2026 09:00 GMT\r\n", "date-unreadable"),
    ]);
    let found = of(&with(DATE, ""), &Facts::default());
    assert_eq!(found.first().unwrap().level, Level::Fix);
}

#[test]
fn octets_are_those_that_smtp_carries() {
    let long = format!("Hello. {}", "x".repeat(999));
    trip(&[
        ("Hello. ", &long, "line-length", "are allowed"),
        ("Hello. ", "Hello.\r", "bare-control", "a CR without LF"),
        ("Hello. ", "Hello.\n", "bare-control", "an LF without CR"),
        ("Hello. ", "Hello.\0", "bare-control", "a NUL"),
        (
            "Subject: Spring",
            "Subject : Spring",
            "header-syntax",
            "line 3",
        ),
        (
            "Subject: Spring",
            "Subject: Spring\r\nno colon",
            "header-syntax",
            "line 4",
        ),
        (
            "Subject: Spring",
            "Subject: Spring\nX-A: b",
            "header-syntax",
            "line 3",
        ),
    ]);
    let exact = "x".repeat(998);
    pass(&[("Hello. ", &format!("{exact}\r\n"), "line-length")]);
    let latin1 = GOOD
        .replace("Spring", "Spr@ng")
        .replace("Spr@ng", "Spr\u{1}ng")
        .into_bytes();
    let latin1: Vec<u8> = latin1
        .into_iter()
        .map(|o| if o == 1 { 0xfc } else { o })
        .collect();
    let found = examine(&Message::parse(&latin1), &Facts::default());
    expect(&found, "eight-bit-field", "no UTF-8", "Latin-1");
    let german = with("Subject: Spring", "Subject: Fr\u{fc}hling");
    let with_utf8 = |smtputf8| Facts {
        smtputf8,
        ..Facts::default()
    };
    let found = of(&german, &with_utf8(Some(false)));
    let said = "Subject has octets over 127, without SMTPUTF8";
    expect(
        &found,
        "eight-bit-field",
        said,
        "SMTPUTF8 was not asked for",
    );
    assert_eq!(of(&german, &with_utf8(Some(true))), []);
    assert_eq!(
        of(&german, &with_utf8(None)),
        [],
        "nobody knows how it goes"
    );
}

#[test]
fn other_rules_run_where_a_line_is_no_field() {
    let text = with("Subject: Spring", "no colon\r\nSubject: Spring")
        .replace("List-Unsubscribe-Post", "X-Post");
    let found = of(&text, &Facts::default());
    assert_eq!(names(&found), ["header-syntax", "one-click-missing"]);
}

#[test]
fn addresses_are_valid() {
    trip(&[
        (
            "To: Ann <ann@example.net>",
            "To: Ann <ann@>",
            "address-invalid",
            "To: ",
        ),
        (
            "To: Ann <ann@example.net>",
            "To: ann@example.net bob@example.net",
            "address-invalid",
            "To: ",
        ),
        (
            "To: Ann",
            "Reply-To: nobody\r\nTo: Ann",
            "address-invalid",
            "Reply-To: ",
        ),
        (
            "To: Ann",
            "Sender: a@b.example, c@d.example\r\nTo: Ann",
            "address-invalid",
            "Sender has 2 addresses",
        ),
    ]);
    pass(&[
        (
            "To: Ann <ann@example.net>",
            "To: undisclosed-recipients:;",
            "address-invalid",
        ),
        (
            "To: Ann <ann@example.net>",
            "To: Ann <ann@example.net>, bob@example.net",
            "address-invalid",
        ),
    ]);
}

#[test]
fn nobody_speaks_for_a_mailbox_at_a_provider() {
    const FROM: &str = "From: Acme <news@acme.example>";
    for domain in [
        "gmail.com",
        "googlemail.com",
        "yahoo.co.uk",
        "hotmail.fr",
        "outlook.com",
        "icloud.com",
        "aol.com",
        "gmx.de",
    ] {
        let found = of(
            &with(FROM, &format!("From: Acme <acme@{domain}>")),
            &Facts::default(),
        );
        expect(
            &found,
            "freemail-from",
            &format!("acme@{domain} is a mailbox at {domain}"),
            domain,
        );
        assert_eq!(found.first().unwrap().level, Level::Block);
    }
    pass(&[
        (FROM, "From: a@mygmail.com.example", "freemail-from"),
        (FROM, "From: a@mail.gmail.com.acme.example", "freemail-from"),
        (FROM, "From: a@yahoo.brand.example", "freemail-from"),
    ]);
    trip(&[(
        FROM,
        "From: \"service@bank.example\" <news@acme.example>",
        "name-misleads",
        "service@bank.example",
    )]);
    pass(&[
        (
            FROM,
            "From: \"news@acme.example\" <news@acme.example>",
            "name-misleads",
        ),
        (
            FROM,
            "From: \"Ann @ Acme\" <news@acme.example>",
            "name-misleads",
        ),
    ]);
}

#[test]
fn one_click_is_to_the_letter() {
    const LIST: &str = "List-Unsubscribe: <https://acme.example/u/1>, <mailto:u@acme.example>\r\n";
    const POST: &str = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n";
    trip(&[
        (
            LIST,
            "",
            "unsubscribe-missing",
            "List-Unsubscribe-Post stands alone",
        ),
        (POST, "", "one-click-missing", "no List-Unsubscribe-Post"),
        (
            POST,
            "List-Unsubscribe-Post: list-unsubscribe=one-click\r\n",
            "one-click-value",
            "list-unsubscribe=one-click",
        ),
        (
            POST,
            "List-Unsubscribe-Post: One-Click\r\n",
            "one-click-value",
            "One-Click",
        ),
        (
            LIST,
            "List-Unsubscribe: <mailto:u@acme.example>\r\n",
            "unsubscribe-https",
            "mailto:u@acme.example",
        ),
        (
            LIST,
            "List-Unsubscribe: <http://acme.example/u>\r\n",
            "unsubscribe-https",
            "http://acme.example/u",
        ),
        (
            LIST,
            "List-Unsubscribe: https://acme.example/u\r\n",
            "unsubscribe-https",
            "no https link",
        ),
        (
            LIST,
            "List-Unsubscribe:\r\n",
            "unsubscribe-https",
            "nothing",
        ),
        (
            POST,
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "unsubscribe-twice",
            "List-Unsubscribe-Post is there 2 times",
        ),
        (
            LIST,
            "List-Unsubscribe: <https://a.example>\r\nList-Unsubscribe: <https://a.example>\r\n",
            "unsubscribe-twice",
            "List-Unsubscribe is there 2 times",
        ),
    ]);
    pass(&[(
        LIST,
        "List-Unsubscribe: <mailto:u@acme.example>,\r\n\t<HTTPS://acme.example/u/1>\r\n",
        "unsubscribe-https",
    )]);
    let bare = with(LIST, "").replace(POST, "");
    let found = of(&bare, &Facts::default());
    expect(
        &found,
        "unsubscribe-missing",
        "there is no List-Unsubscribe",
        "bare",
    );
    assert_eq!(found.first().unwrap().level, Level::Warn);
    let transactional = Facts {
        stream: Some(crate::mail::Stream::Transactional),
        ..Facts::default()
    };
    assert_eq!(of(&bare, &transactional), []);
}

#[test]
fn signatures_that_come_along_are_looked_at() {
    let signed = |h: &str, more: &str| {
        with(
            "From:",
            &format!(
                "DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=s1;\r\n\th={h};{more} bh=x; b=x\r\nFrom:"
            ),
        )
    };
    const ALL: &str = "from:from:to:subject:date:message-id:mime-version:content-type:list-unsubscribe:\
                       list-unsubscribe-post:feedback-id:cfbl-address";
    let none = Facts::default();
    assert_eq!(of(&signed(ALL, ""), &none), []);
    for (h, more, rule, evidence) in [
        (
            "to:subject",
            "",
            "dkim-from-uncovered",
            "h= of s1._domainkey.acme.example has no from",
        ),
        ("from:to", "", "dkim-from-unsealed", "from 1 times"),
        (
            "from:from:to",
            "",
            "dkim-coverage",
            "lacks subject, date, message-id, mime-version, content-type",
        ),
        (ALL, " l=100;", "dkim-body-length", "l= tag"),
        (
            "from:from:list-unsubscribe",
            "",
            "unsubscribe-unsigned",
            "covers List-Unsubscribe-Post",
        ),
        ("from:from", "", "feedback-id-unsigned", "Feedback-ID"),
        ("from:from", "", "cfbl-unsigned", "CFBL-Address"),
    ] {
        expect(&of(&signed(h, more), &none), rule, evidence, h);
    }
    let foreign = signed(ALL, "").replace("d=acme.example", "d=esp.test");
    expect(
        &of(&foreign, &none),
        "dkim-unaligned",
        "d=esp.test",
        "another's",
    );
}

#[test]
fn what_leads_complaints_back_is_well_formed() {
    const ID: &str = "Feedback-ID: spring:acme:news:acmemail\r\n";
    const CFBL: &str = "CFBL-Address: fbl@acme.example; report=arf\r\n";
    trip(&[
        (ID, "", "feedback-id-missing", "no Feedback-ID"),
        (
            ID,
            "Feedback-ID: a:b:c:d:sender\r\n",
            "feedback-id-form",
            "5 fields, 4 are allowed",
        ),
        (
            ID,
            "Feedback-ID: a:b:c:x\r\n",
            "feedback-id-form",
            "the sender, is \"x\"",
        ),
        (
            ID,
            "Feedback-ID: a:b:sender\r\nFeedback-ID: a:b:sender\r\n",
            "feedback-id-form",
            "2 times",
        ),
        (CFBL, "", "cfbl-missing", "no CFBL-Address"),
        (
            CFBL,
            "CFBL-Address: nowhere\r\n",
            "cfbl-unreadable",
            "nowhere",
        ),
        (
            "List-Id: News <news.acme.example>\r\n",
            "",
            "list-id-missing",
            "no List-Id",
        ),
        (
            "To: Ann",
            "Precedence: Junk\r\nTo: Ann",
            "precedence-junk",
            "junk",
        ),
    ]);
    pass(&[
        (ID, "Feedback-ID: sender\r\n", "feedback-id-form"),
        ("To: Ann", "Precedence: bulk\r\nTo: Ann", "precedence-junk"),
    ]);
    let found = of(&with(ID, ""), &Facts::default());
    assert!(found.iter().all(|finding| finding.level == Level::Info));
}

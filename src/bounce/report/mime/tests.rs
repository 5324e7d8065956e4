use super::*;

fn texts(message: &str) -> Vec<String> {
    let parts = read(message.as_bytes()).parts.into_iter();
    let texts = parts.filter_map(|part| match part {
        Part::Text(text) | Part::Html(text) | Part::Status(text) => Some(text.trim().to_owned()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn parts_are_decoded_whatever_their_encoding() {
    for (encoding, charset, body) in [
        ("7bit", "us-ascii", "no luck"),
        ("base64", "utf-8", "bm8gbHVjaw==\n-- \nadded by a list"),
        ("quoted-printable", "utf-8", "no l=75c=\nk"),
        ("BASE64", "made-up", "bm8gbHVj\nYWs="),
        ("", "iso-2022-jp", "no luck"),
    ] {
        let message = format!(
            "From: a@b\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n{body}"
        );
        let found = texts(&message).remove(0);
        assert!(found.starts_with("no luc"), "{encoding}: {found}");
    }
}

#[test]
fn scripts_are_read_and_a_wrong_label_does_no_harm() {
    for (charset, octets, text) in [
        ("koi8-r", &b"\xce\xc5\xd4"[..], "нет"),
        ("windows-1251", &b"\xed\xe5\xf2"[..], "нет"),
        ("shift_jis", &b"\x91\x97\x90M"[..], "送信"),
        ("iso-2022-jp", &b"\x1b$BAw?.\x1b(B"[..], "送信"),
        ("us-ascii", &b"\x1b$BAw?.\x1b(B"[..], "送信"),
        ("gb2312", &b"\xcd\xcb\xd0\xc5"[..], "退信"),
        ("big5", "退信".as_bytes(), "退信"),
    ] {
        let mut message =
            format!("Content-Type: text/plain; charset=\"{charset}\"\n\n").into_bytes();
        message.extend_from_slice(octets);
        assert_eq!(read(&message).parts, [Part::Text(text.into())], "{charset}");
    }
}

#[test]
fn a_message_is_taken_apart_where_its_boundary_is_missing_or_another() {
    for header in [
        "Content-Type: multipart/report; boundary=\"right\"",
        "Content-Type: multipart/report;\nboundary=right",
        "Content-Type: multipart/report; boundary=wrong",
        "Content-Type: multipart/report",
        "Subject: no type at all",
    ] {
        let message = format!(
            "{header}\n\npreamble\n--right\nContent-Type: text/plain\n\nwords\n--right\n\
             Content-Type: message/delivery-status\n\nAction: failed\n--right--\nend\n"
        );
        let found = texts(&message);
        assert!(found.contains(&"words".to_owned()), "{header}: {found:?}");
        assert!(
            found.contains(&"Action: failed".to_owned()),
            "{header}: {found:?}"
        );
    }
}

#[test]
fn a_notice_before_the_first_part_is_not_lost() {
    let words = "we are sorry ".repeat(30);
    let message = format!("Content-Type: multipart/report; boundary=x\n\n{words}\n");
    assert_eq!(texts(&message), [words.trim()]);
}

#[test]
fn an_archive_is_not_opened() {
    let message = "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n\nUEsDBA==\n";
    assert_eq!(
        read(message.as_bytes()).parts,
        [Part::Text("UEsDBA==\n".into())]
    );
    let message =
        format!("Content-Type: multipart/mixed; boundary=x\n\n--x\n{message}--x\n\nhi\n--x--\n");
    assert_eq!(texts(&message), ["hi"]);
}

#[test]
fn depth_and_number_of_parts_are_bounded() {
    let mut deep = String::new();
    for level in 0..20_000 {
        deep.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        ));
    }
    read(deep.as_bytes());
    let wide = "--x\n\npart\n".repeat(100_000);
    let wide = format!("Content-Type: multipart/mixed; boundary=x\n\n{wide}");
    assert!(read(wide.as_bytes()).parts.len() <= MOST_PARTS);
    let nested = "Content-Type: message/rfc822\n\n".repeat(100_000);
    assert_eq!(read(nested.as_bytes()).parts.len(), 1);
}

#[test]
fn a_giant_header_section_is_cut() {
    let message = format!(
        "Subject: {}\n{}\nbody",
        "x".repeat(1 << 20),
        "A: b\n".repeat(100_000)
    );
    let read = read(message.as_bytes());
    assert!(
        read.fields
            .first("subject")
            .is_none_or(|value| value.len() <= 1 << 16)
    );
}

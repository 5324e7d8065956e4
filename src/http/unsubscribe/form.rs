//! The one field of RFC 8058: `List-Unsubscribe=One-Click`, in either of a form's encodings.

/// Whether a body of this content type is the order.
pub fn is_one_click(content_type: &str, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    match kind.trim().to_ascii_lowercase().as_str() {
        "multipart/form-data" => boundary(parameters).is_some_and(|b| in_parts(&text, b)),
        // A client that names no type sends what the RFC shows.
        "application/x-www-form-urlencoded" | "" => in_pairs(&text),
        _ => false,
    }
}

fn is_order(name: &str, value: &str) -> bool {
    name.trim().eq_ignore_ascii_case("List-Unsubscribe")
        && value.trim().eq_ignore_ascii_case("One-Click")
}

fn in_pairs(text: &str) -> bool {
    // The two words hold nothing that must be written as %XX but a hyphen that a client is zealous about.
    let plain = |text: &str| text.replace("%2D", "-").replace("%2d", "-");
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.any(|(name, value)| is_order(&plain(name), &plain(value)))
}

fn boundary(parameters: &str) -> Option<&str> {
    let mut parameters = parameters.split(';').filter_map(|p| p.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    (1..=70).contains(&value.len()).then_some(value)
}

/// RFC 7578.
fn in_parts(text: &str, boundary: &str) -> bool {
    let delimiter = format!("--{boundary}");
    let mut parts = text.split(delimiter.as_str()).skip(1);
    parts.any(|part| {
        let (head, value) = part
            .split_once("\r\n\r\n")
            .or_else(|| part.split_once("\n\n"))
            .unwrap_or_default();
        name_of(head).is_some_and(|name| is_order(name, value))
    })
}

fn name_of(head: &str) -> Option<&str> {
    let is_disposition = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("Content-Disposition")
    };
    let line = head.lines().find(is_disposition)?;
    let mut parameters = line.split(';').filter_map(|p| p.split_once('='));
    let (_, name) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("name"))?;
    Some(name.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn parts(name: &str, value: &str) -> String {
        format!(
            "--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--XyZ--\r\n"
        )
    }

    #[test]
    fn the_order_is_known_in_both_encodings() {
        for (kind, body) in [
            (FORM, "List-Unsubscribe=One-Click".to_owned()),
            (FORM, "a=b&List%2DUnsubscribe=One%2dClick".to_owned()),
            (
                "Application/X-WWW-Form-Urlencoded; charset=utf-8",
                "List-Unsubscribe=One-Click\r\n".to_owned(),
            ),
            ("", "List-Unsubscribe=One-Click".to_owned()),
            (
                "multipart/form-data; boundary=XyZ",
                parts("List-Unsubscribe", "One-Click"),
            ),
            (
                "multipart/form-data; charset=utf-8; boundary=\"XyZ\"",
                parts("List-Unsubscribe", "One-Click"),
            ),
        ] {
            assert!(is_one_click(kind, body.as_bytes()), "{kind}: {body}");
        }
    }

    #[test]
    fn anything_else_is_no_order() {
        for (kind, body) in [
            (FORM, String::new()),
            (FORM, "List-Unsubscribe=No".to_owned()),
            (FORM, "One-Click=List-Unsubscribe".to_owned()),
            ("text/plain", "List-Unsubscribe=One-Click".to_owned()),
            (
                "multipart/form-data; boundary=XyZ",
                parts("Other", "One-Click"),
            ),
            (
                "multipart/form-data; boundary=Other",
                parts("List-Unsubscribe", "One-Click"),
            ),
            (
                "multipart/form-data",
                parts("List-Unsubscribe", "One-Click"),
            ),
            (
                "multipart/form-data; boundary=\"\"",
                "List-Unsubscribe=One-Click".to_owned(),
            ),
        ] {
            assert!(!is_one_click(kind, body.as_bytes()), "{kind}: {body}");
        }
        assert!(!is_one_click(FORM, b"\xff\xfe=\xff"));
    }
}

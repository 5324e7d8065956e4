//! How octets are written in mail (RFC 2045 §6).

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

/// Base64 in lines of 76 characters, without the end of the last.
pub fn base64_lines(octets: &[u8]) -> Vec<u8> {
    let text = BASE64.encode(octets);
    let mut out = Vec::with_capacity(text.len() + text.len() / 38 + 2);
    for (i, line) in text.as_bytes().chunks(76).enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(line);
    }
    out
}

//! L22, L23: sizes, attachments, links.

use super::Case;
use crate::lint::finding::{Found, Level};
use crate::lint::rule::Rule;
use crate::units::Size;
use std::net::IpAddr;

static LARGE: Rule = Rule::new("L22", "message-size", Level::Info)
    .of(&["google", "yahoo", "outlook", "apple"])
    .says("RFC 1870", "link to what is large in place of attaching it");
static HTML_ONLY: Rule = Rule::new("L22", "html-only", Level::Info).says(
    "RFC 2046 section 5.1.4",
    "send multipart/alternative, with the same as text/plain before the HTML",
);
static CLIPPED: Rule = Rule::new("L22", "html-clipped", Level::Info)
    .of(&["google"])
    .says(
        "Gmail shows about 102 KB of HTML and hides the rest, the link to unsubscribe with it",
        "make the HTML smaller: styles once, no comments, no editor's leavings",
    );
static EXECUTABLE: Rule = Rule::new("L22", "executable-attachment", Level::Info)
    .of(&["google", "outlook", "yahoo"])
    .says(
        "file types blocked by Gmail and Outlook",
        "link to the file in place of attaching it; archives are looked into as well",
    );
pub(super) static URL_LISTED: Rule = Rule::new("L23", "url-listed", Level::Warn).says(
    "blocklists of domains",
    "leave the link out, or have the domain taken off the list",
);
static URL_ADDRESS: Rule = Rule::new("L23", "url-address", Level::Warn).says(
    "a habit of phishing",
    "link to a name, not to an IP address",
);

pub(super) const RULES: &[&Rule] = &[
    &LARGE,
    &HTML_ONLY,
    &CLIPPED,
    &EXECUTABLE,
    &URL_LISTED,
    &URL_ADDRESS,
];

pub(super) fn check(case: &Case<'_>, found: &mut Found) {
    sizes(case, found);
    attachments(case, found);
    links(case, found);
}

fn sizes(case: &Case<'_>, found: &mut Found) {
    let (message, limits) = (case.message, &case.facts.limits);
    if message.size > limits.largest {
        let text = format!(
            "the message has {} octets, some providers take {}",
            message.size,
            Size(limits.largest)
        );
        found.add(&LARGE, text);
    }
    let shown = message.parts.iter().filter(|part| part.is_html());
    let Some(html) = shown.clone().map(|part| part.size).max() else {
        return;
    };
    if html > limits.shown_html {
        let text = format!(
            "the HTML has {html} octets, {} are shown",
            limits.shown_html
        );
        found.add(&CLIPPED, text);
    }
    if message.is_whole && !message.parts.iter().any(|part| part.is_shown_text()) {
        found.add(&HTML_ONLY, "there is text/html and no text/plain");
    }
}

/// Endings of names that Gmail or Outlook refuse.
const EXECUTABLE_ENDINGS: &[&str] = &[
    "ade", "adp", "apk", "app", "appx", "bas", "bat", "cab", "chm", "cmd", "com", "cpl", "diagcab",
    "dll", "dmg", "exe", "hta", "img", "ins", "iso", "isp", "jar", "js", "jse", "lib", "lnk",
    "mde", "msc", "msi", "msix", "msp", "mst", "nsh", "pif", "ps1", "psm1", "reg", "scf", "scr",
    "sct", "shb", "sys", "vb", "vbe", "vbs", "vhd", "vhdx", "vxd", "wsc", "wsf", "wsh", "xll",
];

/// Media types of programs.
const EXECUTABLE_MEDIA: &[&str] = &[
    "application/x-msdownload",
    "application/x-msdos-program",
    "application/vnd.microsoft.portable-executable",
    "application/x-executable",
    "application/java-archive",
    "application/hta",
    "application/x-ms-shortcut",
];

fn attachments(case: &Case<'_>, found: &mut Found) {
    for part in &case.message.parts {
        let name = part.name.as_deref().unwrap_or_default();
        // Dots and spaces at the end are dropped by who opens it.
        let bare = name.trim_end_matches(['.', ' ']).to_ascii_lowercase();
        let ending = bare.rsplit_once('.').map(|(_, ending)| ending);
        let is_program = ending.is_some_and(|ending| EXECUTABLE_ENDINGS.contains(&ending));
        if is_program || EXECUTABLE_MEDIA.contains(&&*part.media) {
            let name = if name.is_empty() {
                "without a name"
            } else {
                name
            };
            found.add(&EXECUTABLE, format!("attachment {name} ({})", part.media));
        }
    }
}

fn links(case: &Case<'_>, found: &mut Found) {
    for host in case.message.linked() {
        if let Some(listed) = case
            .facts
            .domain(&host)
            .and_then(|facts| facts.listed.as_ref())
        {
            found.add(
                &URL_LISTED,
                format!("a link leads to {host}, which is on a list: {listed}"),
            );
        }
        if host.parse::<IpAddr>().is_ok() {
            found.add(&URL_ADDRESS, format!("a link leads to {host}"));
        }
    }
}

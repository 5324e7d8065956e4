//! The pages: plain HTML that any reader can read, in English.

use crate::inbound::Subscription;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One page: a heading, some sentences, and a button where there is something to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    title: &'static str,
    sentences: Vec<String>,
    has_button: bool,
}

impl Page {
    /// Asks before anything is done.
    pub fn confirm(subscription: &Subscription) -> Self {
        let from = match &subscription.list {
            Some(list) => format!("the list {list}"),
            None => "this sender's newsletters and offers".to_owned(),
        };
        let sentence = format!("Stop mail to {} from {from}?", subscription.masked);
        Self {
            title: "Unsubscribe",
            sentences: vec![sentence],
            has_button: true,
        }
    }

    pub fn done() -> Self {
        Self::plain(
            "You are unsubscribed",
            "You will get no more of this mail. What is on its way already may still arrive.",
        )
    }

    pub fn too_old() -> Self {
        Self::plain(
            "This link is too old",
            "Please use the link in a newer message, or answer the sender.",
        )
    }

    pub fn not_ours() -> Self {
        Self::plain(
            "This link is not valid",
            "It may have been cut short. Please open it from the message again, or answer the sender.",
        )
    }

    pub fn no_order() -> Self {
        Self::plain(
            "Nothing was changed",
            "What was sent here is no order to unsubscribe. Please open the link again and use its button.",
        )
    }

    pub fn later() -> Self {
        Self::plain(
            "Please try again",
            "This cannot be done at the moment, and nothing was changed. Please try again in a minute.",
        )
    }

    pub fn nothing_here() -> Self {
        Self::plain("Nothing here", "There is no page of this name.")
    }

    fn plain(title: &'static str, sentence: &str) -> Self {
        Self {
            title,
            sentences: vec![sentence.to_owned()],
            has_button: false,
        }
    }

    /// The page as HTML; all that is not ours is escaped.
    pub fn html(&self) -> String {
        let title = self.title;
        let sentences: String = self
            .sentences
            .iter()
            .map(|sentence| format!("<p>{}</p>\n", escaped(sentence)))
            .collect();
        let button = if self.has_button { BUTTON } else { "" };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex, nofollow\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{sentences}{button}</main>\n</body>\n</html>\n"
        )
    }
}

/// Posts to the address of the page itself, whatever a proxy calls it.
const BUTTON: &str = "<form method=\"post\">\n\
    <input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\n\
    <button type=\"submit\">Unsubscribe</button>\n</form>\n";

const STYLE: &str = "\
body{margin:0;padding:1.5rem;font:1.125rem/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff}\
main{max-width:34rem;margin:10vh auto 0}\
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .75rem}\
p{margin:0 0 1.5rem;overflow-wrap:anywhere}\
button{font:inherit;font-weight:600;color:#fff;background:#1d4f91;border:2px solid #1d4f91;border-radius:.4rem;\
min-height:3rem;padding:.5rem 1.5rem;cursor:pointer}\
button:hover{background:#163d70}\
button:focus-visible{outline:3px solid #d97706;outline-offset:3px}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}\
button{color:#0c1a2c;background:#9cc3f5;border-color:#9cc3f5}button:hover{background:#bcd7fa}}";

/// Allows the style of our pages and their form, and nothing else.
pub fn content_security_policy() -> String {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_a_hostile_name_is_text_on_the_page() {
        let page = Page::confirm(&Subscription {
            masked: "a***@e***.com".into(),
            list: Some("<script>alert('x')</script>&\"".into()),
        });
        let html = page.html();
        assert!(
            html.contains("the list &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;")
        );
        assert!(!html.contains("<script"));
        assert!(html.contains("<button type=\"submit\">") && html.contains("a***@e***.com"));
    }

    #[test]
    fn only_the_page_that_asks_has_a_button() {
        for page in [
            Page::done(),
            Page::too_old(),
            Page::not_ours(),
            Page::no_order(),
            Page::later(),
            Page::nothing_here(),
        ] {
            assert!(!page.html().contains("<form"), "{}", page.title);
        }
    }
}

//! What mail carries so that what comes back finds it: the return path of each recipient, and fields of the content.

use super::return_path::{Feedback, ReturnPath, Unsubscribe, ascii_domain};
use super::token::{Keys, Purpose, Token};
use crate::mail::{Address, MessageId, Stream};
use std::collections::HashMap;

/// The field with the token of the message. It is covered by DKIM, so that a report that quotes the signed header
/// section names its message although the recipient is blacked out.
pub const REF: &str = "X-Mailwright-Ref";

/// Local parts begin so, before a token of [`Purpose::Return`] and of [`Purpose::Unsubscribe`].
pub const RETURN: &str = "b-";
pub const UNSUBSCRIBE: &str = "u-";

/// What stamps are made of; empty texts are off.
pub struct Parts<'a> {
    pub return_path: &'a ReturnPath,
    pub feedback: &'a Feedback,
    pub unsubscribe: &'a Unsubscribe,
    pub keys: Keys,
    pub tenants: Vec<(&'a str, Own<'a>)>,
}

/// What a tenant has in place of what all have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    /// Empty: its own return paths are kept.
    pub return_path_domain: Option<&'a str>,
    pub list_unsubscribe: Option<bool>,
}

/// How mail is stamped. Built anew on reload.
pub struct Stamps {
    keys: Keys,
    /// In A-labels; of mail of no tenant that has another.
    domain: Option<Box<str>>,
    feedback: Option<Address>,
    links: Links,
    tenants: HashMap<Box<str>, OfTenant>,
}

struct OfTenant {
    domain: Option<Box<str>>,
    unsubscribe: bool,
}

/// Where a recipient unsubscribes.
struct Links {
    /// Without a slash at its end.
    url: Option<Box<str>>,
    mail_domain: Option<Box<str>>,
}

/// The message that is stamped.
#[derive(Debug, Clone, Copy)]
pub struct Stamped<'a> {
    pub id: MessageId,
    pub tenant: Option<&'a str>,
    pub stream: Option<Stream>,
    /// In its envelope.
    pub recipients: usize,
}

impl Stamps {
    /// What cannot be read is off; `validate` of the sections has told of it.
    pub fn new(parts: Parts<'_>) -> Self {
        let links = Links {
            url: some(parts.unsubscribe.url.trim_end_matches('/')),
            mail_domain: ascii_domain(&parts.unsubscribe.mailto_domain),
        };
        let domain = ascii_domain(&parts.return_path.domain);
        let tenants = parts.tenants.into_iter().map(|(name, own)| {
            let of_tenant = OfTenant {
                domain: own.return_path_domain.map_or(domain.clone(), ascii_domain),
                unsubscribe: own.list_unsubscribe.unwrap_or(true),
            };
            (name.into(), of_tenant)
        });
        Self {
            tenants: tenants.collect(),
            keys: parts.keys,
            feedback: parts.feedback.address.parse().ok(),
            domain,
            links,
        }
    }

    /// Stamps nothing.
    pub fn none(keys: Keys) -> Self {
        Self::new(Parts {
            return_path: &ReturnPath::default(),
            feedback: &Feedback::default(),
            unsubscribe: &Unsubscribe::default(),
            keys,
            tenants: Vec::new(),
        })
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Something may come back with a token: the books are to be kept.
    pub fn is_on(&self) -> bool {
        let links = &self.links;
        self.return_domains().next().is_some()
            || self.feedback.is_some()
            || links.url.is_some()
            || links.mail_domain.is_some()
    }

    /// Every domain that return paths of ours have, in A-labels; some more than once.
    pub fn return_domains(&self) -> impl Iterator<Item = &str> {
        let own = self.tenants.values().map(|own| &own.domain);
        own.chain([&self.domain]).flatten().map(|domain| &**domain)
    }

    /// The domain at which recipients unsubscribe by mail, in A-labels.
    pub fn mailto_domain(&self) -> Option<&str> {
        self.links.mail_domain.as_deref()
    }

    /// Who is told of complaints.
    pub fn feedback(&self) -> Option<&Address> {
        self.feedback.as_ref()
    }

    /// The domain of the return paths of a tenant's mail; `None`: those of the platform are kept.
    pub fn return_domain(&self, tenant: Option<&str>) -> Option<&str> {
        let own = tenant.and_then(|name| self.tenants.get(name));
        own.map_or(&self.domain, |own| &own.domain).as_deref()
    }

    /// MAIL FROM of the transaction of one recipient, at `position` of the envelope. The same in every attempt, until
    /// another key is put in front.
    pub fn return_path(
        &self,
        id: MessageId,
        position: u16,
        tenant: Option<&str>,
    ) -> Option<Address> {
        let domain = self.return_domain(tenant)?;
        let token = Token::new(id, Some(position), tenant);
        let token = self.keys.seal(&token, Purpose::Return);
        format!("{RETURN}{token}@{domain}").parse().ok()
    }

    /// The token that the content carries: the recipient's, where there is only one. `None`: nothing of the message
    /// comes back to us.
    pub fn content_token(&self, message: &Stamped<'_>) -> Option<String> {
        let comes_back = self.feedback.is_some() || self.return_domain(message.tenant).is_some();
        comes_back.then(|| {
            let recipient = (message.recipients == 1).then_some(0);
            let token = Token::new(message.id, recipient, message.tenant);
            self.keys.seal(&token, Purpose::Return)
        })
    }

    /// List-Unsubscribe of the message, and whether one click is enough (RFC 8058). The link names one recipient, so
    /// that a message to several has none.
    pub fn unsubscribe(&self, message: &Stamped<'_>) -> Option<(String, bool)> {
        let own = message.tenant.and_then(|name| self.tenants.get(name));
        let is_wanted = own.is_none_or(|own| own.unsubscribe);
        let is_marketing = message.stream.unwrap_or_default() == Stream::Marketing;
        if !is_wanted || !is_marketing || message.recipients != 1 {
            return None;
        }
        let Links { url, mail_domain } = &self.links;
        if url.is_none() && mail_domain.is_none() {
            return None;
        }
        let token = Token::new(message.id, Some(0), message.tenant);
        let token = self.keys.seal(&token, Purpose::Unsubscribe);
        let link = url.as_ref().map(|url| format!("<{url}/u/{token}>"));
        let mailto = mail_domain.as_ref();
        let mailto = mailto.map(|domain| format!("<mailto:{UNSUBSCRIBE}{token}@{domain}>"));
        let both: Vec<String> = link.into_iter().chain(mailto).collect();
        Some((both.join(",\r\n\t"), url.is_some()))
    }
}

fn some(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Timestamp;
    use std::time::Duration;

    const ID: MessageId = MessageId(0x0000_019a_d1ff_4000);

    fn keys() -> Keys {
        Keys::new(&[[7; 32]], Duration::from_secs(3600)).unwrap()
    }

    /// Everything on; the tenant `own` has a domain, `kept` keeps its return paths and links nobody.
    fn stamps() -> Stamps {
        Stamps::new(Parts {
            return_path: &ReturnPath {
                domain: "Bounces.example.com".into(),
                ..ReturnPath::default()
            },
            feedback: &Feedback {
                address: "fbl@bounces.example.com".into(),
            },
            unsubscribe: &Unsubscribe {
                url: "https://u.example.com/".into(),
                mailto_domain: "bounces.example.com".into(),
                ..Unsubscribe::default()
            },
            keys: keys(),
            tenants: vec![
                (
                    "own",
                    Own {
                        return_path_domain: Some("b.bücher.example"),
                        list_unsubscribe: None,
                    },
                ),
                (
                    "kept",
                    Own {
                        return_path_domain: Some(""),
                        list_unsubscribe: Some(false),
                    },
                ),
                ("plain", Own::default()),
            ],
        })
    }

    fn message(tenant: Option<&str>) -> Stamped<'_> {
        Stamped {
            id: ID,
            tenant,
            stream: None,
            recipients: 1,
        }
    }

    fn open(token: &str, purpose: Purpose) -> Token {
        keys().open(token, purpose, Timestamp::default()).unwrap()
    }

    #[test]
    fn each_recipient_has_a_return_path_of_its_own_that_stays_the_same() {
        let stamps = stamps();
        let first = stamps.return_path(ID, 0, Some("plain")).unwrap();
        assert_eq!(first.domain(), "bounces.example.com");
        let token = first.local().strip_prefix("b-").unwrap();
        let expected = Token::new(ID, Some(0), Some("plain"));
        assert_eq!(open(token, Purpose::Return), expected);
        assert_eq!(
            stamps.return_path(ID, 0, Some("plain")),
            Some(first.clone())
        );
        assert_ne!(stamps.return_path(ID, 1, Some("plain")), Some(first));
    }

    #[test]
    fn a_tenant_may_have_a_domain_of_its_own_or_keep_its_return_paths() {
        let stamps = stamps();
        for (tenant, domain) in [
            (None, Some("bounces.example.com")),
            (Some("unknown"), Some("bounces.example.com")),
            (Some("plain"), Some("bounces.example.com")),
            (Some("own"), Some("b.xn--bcher-kva.example")),
            (Some("kept"), None),
        ] {
            assert_eq!(stamps.return_domain(tenant), domain, "{tenant:?}");
        }
        let mut domains: Vec<&str> = stamps.return_domains().collect();
        domains.sort_unstable();
        domains.dedup();
        assert_eq!(domains, ["b.xn--bcher-kva.example", "bounces.example.com"]);
    }

    #[test]
    fn the_content_names_its_recipient_where_there_is_only_one() {
        let stamps = stamps();
        let one = stamps.content_token(&message(None)).unwrap();
        assert_eq!(open(&one, Purpose::Return).recipient, Some(0));
        let two = Stamped {
            recipients: 2,
            ..message(None)
        };
        let two = stamps.content_token(&two).unwrap();
        assert_eq!(open(&two, Purpose::Return).recipient, None);
    }

    #[test]
    fn only_marketing_to_one_recipient_of_who_wants_it_gets_a_link() {
        let stamps = stamps();
        let (fields, one_click) = stamps.unsubscribe(&message(Some("plain"))).unwrap();
        let token = fields.strip_prefix("<https://u.example.com/u/").unwrap();
        let (token, mailto) = token.split_once(">,\r\n\t").unwrap();
        assert_eq!(mailto, format!("<mailto:u-{token}@bounces.example.com>"));
        assert_eq!(open(token, Purpose::Unsubscribe).recipient, Some(0));
        assert!(one_click);
        let plain = message(Some("plain"));
        for without in [
            message(Some("kept")),
            Stamped {
                stream: Some(Stream::Transactional),
                ..plain
            },
            Stamped {
                recipients: 2,
                ..plain
            },
        ] {
            assert_eq!(stamps.unsubscribe(&without), None, "{without:?}");
        }
    }

    #[test]
    fn where_nothing_is_configured_nothing_is_stamped() {
        let none = Stamps::none(keys());
        assert!(!none.is_on());
        assert!(stamps().is_on());
        assert_eq!(none.return_path(ID, 0, None), None);
        assert_eq!(none.content_token(&message(None)), None);
        assert_eq!(none.unsubscribe(&message(None)), None);
    }
}

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
mod tests;

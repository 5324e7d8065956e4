//! Macros replaced by what they stand for, and what a domain says to those it refuses (RFC 7208 §6.2, §7).

use super::eval::CheckHost;
use super::hosts::is_at_or_below;
use super::macros::{MacroString, Place, Scene};
use crate::auth::ask::{Ask, askable};
use crate::dns;
use hickory_resolver::proto::rr::RecordType;

/// What `%{p}` stands for where no name is validated (RFC 7208 §7.3).
const UNKNOWN: &str = "unknown";

impl<A: Ask> CheckHost<'_, '_, A> {
    /// The name that a term of `domain`'s record speaks of.
    pub(super) async fn name(&mut self, of: &MacroString, domain: &str) -> String {
        self.prepare(of).await;
        of.expand_name(&self.scene_of(domain))
    }

    /// The text that `exp=` leads to. Whatever is wrong with it, there is none then.
    pub(super) async fn explanation(
        &mut self,
        target: &MacroString,
        domain: &str,
    ) -> Option<String> {
        let name = self.name(target, domain).await;
        let answer = self.run.look(askable(&name)?, RecordType::TXT).await.ok()?;
        let mut texts = answer.data().iter().filter_map(dns::text);
        let text = texts.next().filter(|_| texts.next().is_none())?;
        let text = String::from_utf8(text)
            .ok()
            .filter(|text| is_printable(text))?;
        let text = MacroString::parse(&text, Place::Anywhere).ok()?;
        self.prepare(&text).await;
        let expanded = text.expand(&self.scene_of(domain));
        // The name given in EHLO may have brought anything along.
        is_printable(&expanded).then_some(expanded)
    }

    /// Asks for what the macros of `text` need.
    async fn prepare(&mut self, text: &MacroString) {
        self.run.personal |= text.is_personal();
        if text.wants_validated() {
            self.validated().await;
        }
    }

    fn scene_of<'s>(&'s self, domain: &'s str) -> Scene<'s> {
        Scene {
            domain,
            validated: self.validated_name(domain),
            ..self.scene
        }
    }

    /// RFC 7208 §7.3: rather the domain itself, then one below it, then any.
    fn validated_name(&self, domain: &str) -> &str {
        let names = self.names.as_deref().unwrap_or_default();
        let same = names.iter().find(|name| *name == domain);
        let below = || names.iter().find(|name| is_at_or_below(name, domain));
        let found = same.or_else(below).or(names.first());
        found.map_or(UNKNOWN, String::as_str)
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

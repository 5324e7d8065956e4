//! `[suppression]` as it holds for each tenant.

use super::config::{AtSubmission, Config, TenantConfig};
use std::collections::HashMap;
use std::sync::Arc;

/// What the list goes by. A reload swaps it.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    all: Arc<Config>,
    /// Those that have it otherwise.
    tenants: HashMap<Box<str>, Arc<Config>>,
    /// What addresses are hashed with; `None`: with a key that the store keeps.
    pub(super) key: Option<Arc<[u8]>>,
}

impl Rules {
    pub fn new<'a>(
        all: &Config,
        tenants: impl IntoIterator<Item = (&'a str, &'a TenantConfig)>,
    ) -> Self {
        let own = tenants.into_iter().filter(|(_, own)| !own.is_default());
        Self {
            tenants: own
                .map(|(name, own)| (name.into(), Arc::new(all.of(own))))
                .collect(),
            all: Arc::new(all.clone()),
            key: None,
        }
    }

    /// With a key of the operator's.
    pub fn with_key(self, key: Option<&[u8]>) -> Self {
        Self {
            key: key.map(Into::into),
            ..self
        }
    }

    /// Whether a suppressed recipient is refused at RCPT. Who has not authenticated may turn out to be any tenant's, by a
    /// field of the message: where one of them would rather have its mail dropped, that is decided at the end of data.
    pub fn refuses_at_rcpt(&self, tenant: Option<&str>) -> bool {
        let refuses = |config: &Config| config.at_submission == AtSubmission::Reject;
        let others = || self.tenants.values().all(|own| refuses(own));
        refuses(self.of(tenant)) && (tenant.is_some() || others())
    }

    pub fn of(&self, tenant: Option<&str>) -> &Arc<Config> {
        let own = tenant.and_then(|tenant| self.tenants.get(tenant));
        own.unwrap_or(&self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::suppression::Reach;
    use crate::units::Span;

    #[test]
    fn a_tenant_has_its_own_where_it_says_so_and_the_rest_as_everybody() {
        let all = Config {
            soft_limit: 7,
            ..Config::default()
        };
        let own = TenantConfig {
            at_submission: Some(AtSubmission::Drop),
            bounces: Some(Reach::Tenant),
            soft_for: Some(Span::days(3)),
            ..TenantConfig::default()
        };
        let nothing = TenantConfig::default();
        let rules = Rules::new(&all, [("acme", &own), ("plain", &nothing)]);
        let acme = rules.of(Some("acme"));
        assert_eq!(acme.at_submission, AtSubmission::Drop);
        assert_eq!((acme.soft_limit, acme.soft_for), (7, Span::days(3)));
        assert_eq!(acme.reach(Some("acme")).to_string(), "tenant/acme");
        let refuses = [Some("acme"), Some("plain"), None].map(|who| rules.refuses_at_rcpt(who));
        assert_eq!(refuses, [false, true, false], "it may be acme's");
        for everybody in [Some("plain"), Some("unknown"), None] {
            assert_eq!(**rules.of(everybody), all);
        }
    }
}

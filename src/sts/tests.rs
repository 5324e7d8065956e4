//! What is known of a domain while record, file and store come and go.

use super::*;
use crate::dns;
use crate::peers::dns::{DnsServer, Record};
use crate::tls;

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    server: DnsServer,
    clock: Clock,
    store: Store,
    sts: Sts,
}

/// A domain whose policy another node has fetched.
async fn world() -> World {
    let server = DnsServer::start().await.unwrap();
    let text = Record::Txt("v=STSv1; id=1;".into());
    server.add("_mta-sts.example.test", text);
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let config = dns::Config {
        nameservers: vec![server.address()],
        ..dns::Config::default()
    };
    let resolver = Resolver::new(&config, clock.clone()).unwrap();
    let tls = ClientTls::new(&tls::client::Config::default()).unwrap();
    let store = Store::in_memory();
    let known = Known {
        domain: "example.test".into(),
        id: "1".into(),
        fetched: clock.now(),
        policy: Policy::parse(
            b"version: STSv1\nmode: enforce\nmx: mx.example.test\nmax_age: 604800\n",
        )
        .unwrap(),
    };
    let value = serde_json::to_vec(&known).unwrap();
    store.set(&place("example.test"), &value).await.unwrap();
    let to_ask = (resolver, tls);
    let sts = Sts::new(Config::default(), to_ask, store.clone(), clock.clone());
    World {
        server,
        clock,
        store,
        sts,
    }
}

async fn is_enforced(w: &World) -> bool {
    let found = w.sts.find("Example.test").await;
    found.is_some_and(|known| known.enforced().is_some())
}

#[tokio::test]
async fn a_policy_that_another_node_has_fetched_holds_here() {
    let w = world().await;
    assert!(!w.sts.is_known("example.test"));
    assert!(is_enforced(&w).await);
    assert!(w.sts.is_known("example.test"));
    w.clock.advance(8 * 24 * HOUR);
    assert_eq!(w.sts.held("example.test"), None, "its time is over");
}

/// Once a store that was away, and a record that was hidden, took an enforced policy back.
#[tokio::test]
async fn a_store_that_is_away_takes_no_policy_back() {
    let w = world().await;
    assert!(is_enforced(&w).await);
    w.clock.advance(HOUR);
    w.store.close().await;
    w.server.remove("_mta-sts.example.test");
    assert!(!w.sts.is_known("example.test"));
    assert!(is_enforced(&w).await);
}

#[tokio::test]
async fn literals_and_a_node_that_looks_for_none_have_none() {
    let w = world().await;
    assert_eq!(w.sts.find("[192.0.2.1]").await, None);
    assert_eq!(w.server.queries("_mta-sts.example.test"), 0);
}

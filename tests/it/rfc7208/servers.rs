//! The world of a scenario behind a name server on loopback, and mail-auth asking there.

use super::Verdict;
use super::suite::{Case, Scenario};
use super::worlds::{records, times_out};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use mail_auth::MessageAuthenticator;
use mail_auth::spf::verify::SpfParameters;
use mailwright::peers::dns::{DnsServer, Fault, Record};
use mailwright::peers::world::name;
use std::net::SocketAddr;

pub async fn on_loopback(scenario: &Scenario) -> DnsServer {
    let server = DnsServer::start().await.expect("a name server");
    for (held, entries) in &scenario.zonedata {
        // The server knows names as DNS writes them.
        let written = name(held).to_ascii();
        server.set(&written, Vec::new());
        let found = records(entries);
        let texts = found.iter().any(|data| matches!(data, RData::TXT(_)));
        for data in found {
            // Aliases are followed by the server.
            let record = match &data {
                RData::CNAME(target) => Record::Cname(target.0.to_ascii()),
                _ => Record::Other(data),
            };
            server.add(&written, record);
        }
        // Its faults are of names, those of the suite of types: where there is a text, that is what is asked for.
        if times_out(entries) && !texts {
            server.fail(&written, Fault::ServFail);
        }
    }
    server
}

pub fn mail_auth(server: SocketAddr) -> MessageAuthenticator {
    let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut name_server.connections {
        connection.port = server.port();
    }
    let config = ResolverConfig::from_name_servers(vec![name_server]);
    let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    MessageAuthenticator(resolver.build().expect("a resolver"))
}

pub async fn verify(verifier: &MessageAuthenticator, case: &Case) -> Verdict {
    let ip = case.host.parse().unwrap();
    let asked = match case.mailfrom.as_str() {
        "" => SpfParameters::verify_ehlo(ip, &case.helo, "receiver.test"),
        sender => SpfParameters::verify_mail_from(ip, &case.helo, "receiver.test", sender),
    };
    let output = verifier.verify_spf(asked).await;
    Verdict {
        result: format!("{:?}", output.result()).to_lowercase(),
        explanation: output.explanation().map(Into::into),
    }
}

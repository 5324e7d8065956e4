//! The world of a scenario, in memory.

use super::suite::{Data, Entry, Scenario};
use hickory_resolver::proto::rr::RData;
use mailwright::clock::Clock;
use mailwright::peers::world::{World, address, cname, mx, ptr, txt};

pub fn in_memory(scenario: &Scenario, clock: Clock) -> World {
    let world = World::new(clock);
    for (name, entries) in &scenario.zonedata {
        world.bare(name);
        for data in records(entries) {
            world.add(name, data);
        }
        if times_out(entries) {
            world.fail(name);
        }
    }
    world
}

pub fn records(entries: &[Entry]) -> Vec<RData> {
    let texts = Scenario::texts(entries);
    let mut found: Vec<RData> = texts.iter().map(|text| txt(text)).collect();
    for entry in entries {
        let Entry::Record(record) = entry else {
            continue;
        };
        found.extend(
            record
                .iter()
                .filter_map(|(kind, data)| record_of(kind, data)),
        );
    }
    found
}

fn record_of(kind: &str, data: &Data) -> Option<RData> {
    Some(match (kind, data) {
        ("A" | "AAAA", data) => address(data.text().parse().expect("an address")),
        ("MX", Data::Strings(mx_data)) => exchange(mx_data),
        ("PTR", data) => ptr(data.text()),
        ("CNAME", data) => cname(data.text()),
        ("SPF" | "TXT", _) => return None,
        other => panic!("{other:?} is no record"),
    })
}

pub fn times_out(entries: &[Entry]) -> bool {
    entries
        .iter()
        .any(|entry| matches!(entry, Entry::Word(word) if word == "TIMEOUT"))
}

fn exchange(data: &[String]) -> RData {
    let [preference, host] = data else {
        panic!("{data:?} is no MX");
    };
    mx(preference.parse().expect("a preference"), host)
}

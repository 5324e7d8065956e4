//! What is stored of reports, and what is told.

use super::period::Day;
use super::*;
use crate::clock::Clock;
use crate::events::{Event, Events, Sink};
use crate::units::{Live, Span, Timestamp};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-22T12:00:00Z
const NOW: Timestamp = Timestamp::from_millis(1_795_348_800_000);
const DAY: u64 = 86_400;

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Sink for Told {
    fn take(&self, _: Timestamp, event: &Event) {
        if let Event::Report { why, .. } = event {
            self.0.lock().push(why.clone());
        }
    }
}

struct World {
    reports: Reports,
    told: Told,
    clock: Clock,
}

/// acme.example is ours, and 192.0.2.1 is ip-a.
fn settings() -> Settings {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let config = Config {
        keep: Span::days(30),
        ..Config::default()
    };
    config.settings(["acme.example"], [(address, "ip-a")])
}

fn world(dir: &Path) -> World {
    let (clock, told) = (Clock::manual(NOW), Told::default());
    let events = Events::new(clock.clone(), vec![Box::new(told.clone())]);
    let settings: Live<Settings> = Arc::new(ArcSwap::from_pointee(settings()));
    World {
        reports: Reports::new(dir.join("reports"), settings, clock.clone(), events),
        told,
        clock,
    }
}

/// A report of a day, with records of address, messages, and whether DKIM passes.
fn dmarc(id: &str, domain: &str, ago: u64, records: &[(&str, u64, bool)]) -> Report {
    let begin = (NOW.as_secs() / DAY - ago) * DAY;
    let records: Vec<String> = records
        .iter()
        .map(|(address, count, passes)| {
            let dkim = if *passes { "pass" } else { "fail" };
            format!(
                "<record><row><source_ip>{address}</source_ip><count>{count}</count><policy_evaluated>\
                 <disposition>none</disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row></record>"
            )
        })
        .collect();
    let text = format!(
        "<feedback><report_metadata><org_name>Reporter</org_name><report_id>{id}</report_id><date_range><begin>{begin}\
         </begin><end>{}</end></date_range></report_metadata><policy_published><domain>{domain}</domain><p>none</p>\
         </policy_published>{}</feedback>",
        begin + DAY - 1,
        records.concat()
    );
    read(text.as_bytes()).unwrap()
}

impl World {
    fn take(&self, report: &Report) -> Taken {
        self.reports.take(report, Domains::Ours).unwrap()
    }

    fn shown(&self, since: u64) -> rows::Shown {
        let which = Which {
            domain: None,
            since: Day::of(NOW.as_secs() - since * DAY),
        };
        self.reports.show(&which).unwrap()
    }
}

#[test]
fn reports_are_added_up_by_domain_and_source_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let ours = ("192.0.2.1", 100, true);
    assert_eq!(
        world.take(&dmarc(
            "1",
            "acme.example",
            1,
            &[ours, ("2001:db8::9", 5, false)]
        )),
        Taken::Stored
    );
    assert_eq!(
        world.take(&dmarc("2", "acme.example", 2, &[ours])),
        Taken::Stored
    );
    assert_eq!(
        world.take(&dmarc("3", "news.acme.example", 40, &[ours])),
        Taken::Stored
    );
    world.reports.close();
    let world = self::world(dir.path());
    let shown = world.shown(30);
    let rows: Vec<_> = shown
        .sources
        .iter()
        .map(|row| {
            (
                row.source_ip.unwrap().to_string(),
                row.source.as_deref(),
                row.tally.messages,
                row.tally.pass,
                row.days,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("192.0.2.1".into(), Some("ip-a"), 200, 200, 2),
            ("2001:db8::9".into(), None, 5, 0, 1)
        ]
    );
    assert_eq!(shown.policies["acme.example"].p.as_deref(), Some("none"));
    assert_eq!(
        (shown.days["acme.example"], world.shown(60).sources.len()),
        (2, 3)
    );
}

#[test]
fn a_report_counts_once_and_strangers_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let report = dmarc("1", "acme.example", 1, &[("192.0.2.1", 1, true)]);
    let other = dmarc("1", "other.example", 1, &[("192.0.2.1", 1, true)]);
    assert_eq!(
        [world.take(&report), world.take(&report)],
        [Taken::Stored, Taken::Duplicate]
    );
    assert_eq!(world.take(&other), Taken::NotOurs);
    assert_eq!(
        world.reports.take(&other, Domains::Any).unwrap(),
        Taken::Stored
    );
    assert_eq!(world.shown(30).sources.len(), 2);
}

#[test]
fn a_report_of_days_to_come_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let report = dmarc("1", "acme.example", 1, &[("192.0.2.1", 1, true)]);
    let ahead = |days: u64| {
        let mut report = report.clone();
        if let Report::Dmarc(report) = &mut report {
            report.period.begin += days * DAY;
            report.period.end += days * DAY;
        }
        report
    };
    assert_eq!(world.take(&ahead(1_000)), Taken::Ahead);
    assert_eq!(world.take(&ahead(4)), Taken::Ahead);
    assert_eq!(world.take(&report), Taken::Stored);
    let shown = world.shown(30);
    assert_eq!(shown.policies["acme.example"].p.as_deref(), Some("none"));
}

#[test]
fn what_fails_is_told_once_for_domain_source_and_day() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let failing = |id: &str, ago| {
        dmarc(
            id,
            "acme.example",
            ago,
            &[("192.0.2.1", 3, false), ("198.51.100.7", 6, false)],
        )
    };
    world.take(&failing("1", 1));
    let told = world.told.0.lock().clone();
    let [own] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(
        own.starts_with("our own mail from acme.example by ip-a (192.0.2.1) fails DMARC: 3 of 3"),
        "{own}"
    );
    // A second reporter makes the stranger's volume worth telling; ours is told already.
    world.take(&failing("2", 1));
    let told = world.told.0.lock().clone();
    assert_eq!(told.len(), 2);
    assert!(
        told[1].starts_with("somebody else sends as acme.example: 12 of 12 messages"),
        "{told:?}"
    );
    world.take(&failing("3", 2));
    assert_eq!(world.told.0.lock().len(), 3);
}

#[test]
fn rows_go_when_no_report_added_to_them_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    // Old reports stay as long as new ones: what counts is when they came.
    let old = dmarc("1", "acme.example", 1000, &[("192.0.2.1", 1, true)]);
    world.take(&old);
    assert_eq!(world.shown(2000).sources.len(), 1);
    world.clock.advance(Duration::from_secs(31 * DAY));
    world.take(&dmarc("2", "acme.example", 1, &[("192.0.2.1", 1, true)]));
    assert_eq!(world.shown(2000).sources[0].tally.messages, 1);
    assert_eq!(world.take(&old), Taken::Stored);
}

#[test]
fn sessions_and_figures_are_shown_beside() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let tls = format!(
        r#"{{"organization-name": "Sender", "report-id": "7", "date-range": {{"start-datetime": "{0}", "end-datetime": "{0}"}},
        "policies": [{{"policy": {{"policy-domain": "acme.example", "policy-type": "sts"}}, "failure-details":
        [{{"result-type": "certificate-expired", "failed-session-count": 2}}],
        "summary": {{"total-successful-session-count": 5, "total-failure-session-count": 2}}}},
        {{"policy": {{"policy-domain": "other.example"}},
        "summary": {{"total-successful-session-count": 9, "total-failure-session-count": 0}}}}]}}"#,
        NOW.as_secs()
    );
    let tls = read(tls.as_bytes()).unwrap();
    assert_eq!(
        [world.take(&tls), world.take(&tls)],
        [Taken::Stored, Taken::Duplicate]
    );
    let snds = b"192.0.2.1,11/21/2026 1:00 AM,11/21/2026 9:00 PM,100,90,80,GREEN,< 0.1%,,,0,,,\n";
    for _ in 0..2 {
        assert_eq!(
            world
                .reports
                .import(snds, &Order::default())
                .unwrap()
                .result,
            Some(Taken::Stored)
        );
    }
    let export = b"Date,Spam rate\n2026-11-21,0.2%\n";
    let nameless = world.reports.import(export, &Order::default()).unwrap();
    assert_eq!(nameless.result, Some(Taken::NotOurs));
    assert!(nameless.why.unwrap().contains("--domain"));
    let order = Order {
        domain: Some("acme.example".into()),
        ..Order::default()
    };
    assert_eq!(
        world.reports.import(export, &order).unwrap().result,
        Some(Taken::Stored)
    );
    let shown = world.shown(30);
    let [tls] = shown.tls.as_slice() else {
        panic!("{shown:?}")
    };
    assert_eq!(
        (
            tls.success,
            tls.failure,
            tls.failure_types["certificate-expired"]
        ),
        (5, 2, 2)
    );
    let figures: Vec<_> = shown
        .figures
        .iter()
        .map(|row| (&*row.subject, row.values.len()))
        .collect();
    assert_eq!(figures, [("acme.example", 1), ("192.0.2.1", 6)]);
}

#[test]
fn a_file_that_is_damaged_is_told_and_loses_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reports");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("reports.redb"), vec![7; 10_000]).unwrap();
    let world = world(dir.path());
    let report = dmarc("1", "acme.example", 1, &[]);
    let error = world.reports.take(&report, Domains::Ours).unwrap_err();
    assert!(error.to_string().contains("reports.redb"), "{error}");
}

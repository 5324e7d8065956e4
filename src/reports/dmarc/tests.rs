use super::*;
use proptest::prelude::*;

const REPORT: &str = r#"<?xml version="1.0"?>
<d:feedback xmlns:d="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <report_id> r-1 </report_id><org_name>Reporter &amp; Sons</org_name><email>d@reporter.example</email>
    <date_range><begin>1700000000</begin><end> 1700086399 </end></date_range>
    <error>one record was dropped</error>
  </report_metadata>
  <policy_published><domain>Acme.Example.</domain><p>Quarantine</p><pct>50</pct></policy_published>
  <policy_published><domain>other.example</domain><p>none</p><sp>reject</sp></policy_published>
  <record>
    <row>
      <source_ip> ::ffff:192.0.2.1 </source_ip><count> 12 </count>
      <policy_evaluated><disposition>None</disposition><dkim>PASS</dkim><spf>Fail</spf></policy_evaluated>
    </row>
    <identities><header_from>News.Acme.Example</header_from></identities>
    <auth_results>
      <dkim><domain>other.example</domain><selector>a</selector><result>fail</result></dkim>
      <dkim><domain>acme.example</domain><selector>b</selector><result>pass</result></dkim>
      <dkim/>
      <spf><domain/><result>none</result></spf>
    </auth_results>
    <extension><anything>at all</anything></extension>
  </record>
  <record>
    <row>
      <source_ip>nobody</source_ip><count>3</count>
      <policy_evaluated>
        <disposition>reject</disposition>
        <reason><type>forwarded</type><comment/></reason><reason><type/></reason>
      </policy_evaluated>
    </row>
  </record>
</d:feedback>"#;

#[test]
fn what_the_field_writes_is_read() {
    let report = read(REPORT).unwrap();
    assert_eq!(report.organization.as_deref(), Some("Reporter & Sons"));
    assert_eq!(
        (report.id.as_deref(), &*report.domain),
        (Some("r-1"), "acme.example")
    );
    assert_eq!(
        (report.period.begin, report.period.end),
        (1_700_000_000, 1_700_086_399)
    );
    assert_eq!(
        (report.policy.p.as_deref(), report.policy.sp.as_deref()),
        (Some("quarantine"), None)
    );
    assert_eq!(report.errors, ["one record was dropped"]);
    let [first, second] = report.records.as_slice() else {
        panic!("{:?}", report.records)
    };
    assert_eq!(first.source, "192.0.2.1".parse().ok());
    assert_eq!(
        (first.dkim, first.spf, first.disposition),
        (true, false, Disposition::None)
    );
    assert_eq!((first.signatures.len(), first.spf_results.len()), (2, 1));
    assert_eq!(
        (second.source, second.passes(), &*second.reasons),
        (None, false, &["forwarded".to_owned()][..])
    );
    let total = report.total();
    assert_eq!(
        (total.messages, total.pass, total.dkim, total.spf),
        (15, 12, 12, 0)
    );
    assert_eq!(
        (total.none, total.reject, total.forwarded, total.subdomains),
        (12, 3, 3, 12)
    );
    assert_eq!(report.sources().len(), 2);
}

#[test]
fn what_gives_a_report_its_meaning_may_not_be_missing() {
    let without = |what: &str, instead: &str| read(&REPORT.replace(what, instead));
    for (what, instead, why) in [
        ("<count>3</count>", "", "record 2 does not say how many"),
        (
            "<count>3</count>",
            "<count>-3</count>",
            "record 2 counts \"-3\"",
        ),
        (
            "<count>3</count>",
            "<count>18446744073709551615</count>",
            "more than there can be",
        ),
        ("<begin>1700000000</begin>", "", "when it begins"),
        (" 1700086399 ", "soon", "\"soon\" is not when"),
        ("<domain>Acme.Example.</domain>", "", "which domain"),
        (
            "Acme.Example.",
            "not a domain",
            "\"not a domain\" is no domain",
        ),
        ("</row>", "</row><row/>", "record 1 has several rows"),
        ("d:feedback", "d:feed", "no <feedback>"),
    ] {
        let refused = without(what, instead).unwrap_err().to_string();
        assert!(refused.contains(why), "{what} → {instead}: {refused}");
    }
}

#[test]
fn a_domain_that_is_left_out_is_that_of_the_records() {
    let text = REPORT.replace("<domain>Acme.Example.</domain>", "").replace(
        "<disposition>reject</disposition>",
        "<disposition>reject</disposition></policy_evaluated></row><identifiers><header_from>news.acme.example</header_from>\
         </identifiers><row2><policy_evaluated>",
    );
    let text = text.replace(
        "<reason><type/></reason>\n      </policy_evaluated>\n    </row>",
        "<reason><type/></reason></policy_evaluated></row2>",
    );
    assert_eq!(read(&text).unwrap().domain, "news.acme.example");
}

#[test]
fn a_report_that_is_wrapped_is_read_and_two_in_one_are_refused() {
    let bare = REPORT.replace("<?xml version=\"1.0\"?>", "");
    assert_eq!(
        read(&format!("<schema>{bare}</schema>"))
            .unwrap()
            .records
            .len(),
        2
    );
    assert!(read(&format!("<schema>{bare}{bare}</schema>")).is_err());
}

#[test]
fn records_are_bounded() {
    let record = "<record><row><count>1</count></row></record>";
    let text = format!("<feedback>{}</feedback>", record.repeat(100_001));
    assert!(
        read(&text)
            .unwrap_err()
            .to_string()
            .contains("more than 100000 records")
    );
}

proptest! {
    #[test]
    fn whatever_comes_is_answered(text in ".{0,400}") {
        let _answered = read(&text);
    }

    #[test]
    fn a_report_with_anything_in_it_is_answered(at in 0..REPORT.len(), what in "[ -~<>&;/\"]{0,20}", drop in 0usize..40) {
        let mut octets = REPORT.as_bytes().to_vec();
        let end = (at + drop).min(octets.len());
        octets.splice(at..end, what.into_bytes());
        if let Ok(report) = read(&String::from_utf8_lossy(&octets)) {
            let total = report.total();
            prop_assert!(total.pass <= total.messages && total.dkim <= total.pass && total.spf <= total.pass);
            prop_assert_eq!(report.sources().values().map(|tally| tally.messages).sum::<u64>(), total.messages);
        }
    }
}

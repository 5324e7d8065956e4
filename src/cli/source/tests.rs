use crate::cli::Exit;
use crate::cli::tests::asked_of;

#[tokio::test]
async fn sources_are_listed_with_what_they_are_kept_from() {
    let (exit, text, _) = asked_of(&["source", "list"]).await;
    let expected = "\
SOURCE  ADDRESS     ADDRESS IS HERE  EHLO                POOLS          WARM-UP                        SUSPENDED
ip-a    192.0.2.10  yes              a.mail.example.com  shared, big 3  standard, held, stage 3 of 64  from 1

source ip-a is kept from provider google, unusual rate (rule provider[0].rule[1]); it had said: 421 4.7.28 too much; \
until 2026-11-03 16:00:00Z, ";
    assert_eq!(exit, Exit::Ok);
    // How long that is depends on the day.
    assert!(text.starts_with(expected), "{text}");
    let (_, json, _) = asked_of(&["source", "list", "--format", "json"]).await;
    let entry: crate::http::SourceEntry = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(entry, crate::http::tests::sample::source());
}

#[tokio::test]
async fn suspensions_are_lifted() {
    let words = [
        "source",
        "lift",
        "ip-a",
        "--site",
        "mx.example.net",
        "--why",
        "solved",
    ];
    let (exit, text, daemon) = asked_of(&words).await;
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.starts_with("lifted: source ip-a from provider google, unusual rate (rule provider[0].rule[1]); it would have lasted until 2026-11-03 16:00:00Z, "),
        "{text}"
    );
    let told = daemon.told.lock().clone();
    assert_eq!(
        told,
        ["lift ip-a Some(\"mx.example.net\") None Some(\"solved\")"]
    );
    assert_eq!(asked_of(&["source", "lift", "ip-z"]).await.0, Exit::Data);
    let both = ["source", "lift", "ip-a", "--site", "a", "--provider", "b"];
    assert_eq!(asked_of(&both).await.0, Exit::Usage);
}

//! Text is a configuration or is refused with findings that name a line of it; what is taken is valid, and written
//! out and read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::config::Config;
use mailwright::problem::Problems;
use std::path::Path;

fuzz_target!(|text: &str| {
    // Without a directory, so that reading it again anchors no path twice.
    let file = Path::new("fuzz.toml");
    match Config::parse(text, file) {
        Ok(config) => {
            let mut problems = Problems::default();
            config.validate(&mut problems);
            assert!(problems.is_empty());
            let written = toml::to_string(&config).unwrap();
            assert_eq!(
                Config::parse(&written, file).as_ref(),
                Ok(&config),
                "{written}"
            );
        }
        Err(refused) => {
            assert!(!refused.findings.is_empty());
            let lines = text.matches('\n').count() + 1;
            for finding in refused.findings {
                assert!((1..=lines).contains(&finding.line), "{finding:?}");
                assert!(!finding.message.is_empty() && !finding.remedy.is_empty());
            }
        }
    }
});

use super::*;

#[test]
fn windows_read_back_as_written() {
    for text in [
        "08:00-22:00 Europe/Berlin",
        "mon-fri 09:00-17:30 America/New_York",
        "22:00-06:00 UTC",
        "00:00-24:00 Asia/Kathmandu",
        "sat,sun 10:00-20:00 Etc/GMT+5",
        "mon,wed-fri,sun 10:00-20:00 UTC",
    ] {
        assert_eq!(window(text).to_string(), text);
        let json = serde_json::to_value(window(text)).unwrap();
        assert_eq!(json, text);
    }
    for (text, canonical) in [
        (
            " FRI - Mon  8:00 -  22:00\teurope/berlin ",
            "mon,fri-sun 08:00-22:00 Europe/Berlin",
        ),
        ("mon-sun 0:00-24:00 utc", "00:00-24:00 UTC"),
        ("sun,sun 00:00-1:00 UTC", "sun 00:00-01:00 UTC"),
    ] {
        assert_eq!(window(text).to_string(), canonical);
    }
}

#[test]
fn one_window_is_a_text_and_several_are_a_list() {
    let one: SendWindows = serde_json::from_str("\"08:00-22:00 UTC\"").unwrap();
    assert_eq!(serde_json::to_string(&one).unwrap(), "\"08:00-22:00 UTC\"");
    let list = "[\"08:00-10:00 UTC\",\"12:00-13:00 UTC\"]";
    let two: SendWindows = serde_json::from_str(list).unwrap();
    assert_eq!(serde_json::to_string(&two).unwrap(), list);
    let none: SendWindows = serde_json::from_str("[]").unwrap();
    assert!(none.is_empty());
    for bad in ["7", "[\"08:00-10:00\"]"] {
        let error = serde_json::from_str::<SendWindows>(bad).unwrap_err();
        assert!(error.to_string().contains("Europe/Berlin"), "{error}");
    }
}

#[test]
fn what_is_no_window_is_refused_with_the_remedy() {
    for (text, remedy) in [
        ("", "such as"),
        ("mon-fri", "such as"),
        ("mon-fri Europe/Berlin", "hours and a time zone"),
        ("08:00-22:00", "\"08:00-22:00 Europe/Berlin\""),
        ("mon-fri 08:00 - 22:00", "no time zone"),
        ("monday 08:00-22:00 UTC", "\"mon-fri\""),
        ("mon fri 08:00-22:00 UTC", "\"mon-fri\""),
        ("mon-fri- 08:00-22:00 UTC", "\"mon-fri\""),
        ("8-22 UTC", "\"08:00-22:00\""),
        ("08:00-24:01 UTC", "\"00:00-24:00\""),
        ("24:00-08:00 UTC", "\"22:00-06:00\""),
        ("08:60-09:00 UTC", "\"08:00-22:00\""),
        ("08:00-+9:00 UTC", "\"08:00-22:00\""),
        ("08:00-22:00-23:00 UTC", "\"08:00-22:00\""),
        ("08:00-08:00 UTC", "\"00:00-24:00\""),
        ("08:00-22:00 Europe/Berln", "\"Europe/Berlin\"?"),
        ("08:00-22:00 new_york", "\"America/New_York\"?"),
        ("08:00-22:00 PST", "IANA"),
        ("08:00-22:00 +02", "IANA"),
    ] {
        let error = text.parse::<SendWindow>().unwrap_err().to_string();
        assert!(error.contains(remedy), "{text}: {error}");
    }
}

use super::*;
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);

fn keys(secrets: &[u8]) -> Keys {
    let secrets: Vec<[u8; 32]> = secrets.iter().map(|octet| [*octet; 32]).collect();
    Keys::new(&secrets, 60 * DAY).unwrap()
}

fn token() -> impl Strategy<Value = Token> {
    (
        any::<u64>(),
        proptest::option::of(0..u16::MAX),
        any::<u32>(),
    )
        .prop_map(|(id, recipient, tenant)| Token {
            id: MessageId(id),
            recipient,
            tenant,
        })
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::Return), Just(Purpose::Unsubscribe)]
}

proptest! {
    #[test]
    fn a_token_is_read_back_in_any_case_while_it_is_good(token in token(), purpose in purpose(), age in 0..=60u32) {
        let (keys, now) = (keys(&[1]), token.id.accepted() + age * DAY);
        let text = keys.seal(&token, purpose);
        prop_assert_eq!(text.len(), LENGTH);
        prop_assert!(text.bytes().all(|c| ALPHABET.contains(&c)));
        prop_assert_eq!(keys.open(&text, purpose, now), Ok(token));
        prop_assert_eq!(keys.open(&text.to_ascii_uppercase(), purpose, now), Ok(token));
        prop_assert_eq!(keys.seal(&token, purpose), text);
    }

    #[test]
    fn a_changed_character_opens_nothing(token in token(), purpose in purpose(), at in 0..LENGTH, by in 1..32usize) {
        let keys = keys(&[1]);
        let mut text = keys.seal(&token, purpose).into_bytes();
        let digit = ALPHABET.iter().position(|c| *c == text[at]).unwrap();
        text[at] = ALPHABET[(digit + by) % 32];
        let opened = keys.open(std::str::from_utf8(&text).unwrap(), purpose, token.id.accepted());
        prop_assert!(matches!(opened, Err(TokenError::Forged | TokenError::Shape)), "{opened:?}");
    }

    #[test]
    fn another_purpose_or_key_opens_nothing(token in token()) {
        let (ours, now) = (keys(&[1]), token.id.accepted());
        let text = ours.seal(&token, Purpose::Return);
        prop_assert_eq!(ours.open(&text, Purpose::Unsubscribe, now), Err(TokenError::Forged));
        prop_assert_eq!(keys(&[2]).open(&text, Purpose::Return, now), Err(TokenError::Forged));
    }

    #[test]
    fn an_old_token_says_that_it_is_old(token in token(), late in 1..1_000_000u64) {
        let keys = keys(&[1]);
        let now = token.id.accepted() + 60 * DAY + Duration::from_millis(late);
        let opened = keys.open(&keys.seal(&token, Purpose::Return), Purpose::Return, now);
        prop_assert_eq!(opened, Err(TokenError::Expired));
    }

    #[test]
    fn no_text_makes_it_panic(text: String, octets in proptest::collection::vec(any::<u8>(), LENGTH)) {
        let (keys, now) = (keys(&[1]), Timestamp::default());
        prop_assert!(keys.open(&text, Purpose::Return, now).is_err());
        prop_assert!(keys.open(&String::from_utf8_lossy(&octets), Purpose::Return, now).is_err());
    }
}

#[test]
fn mail_of_before_a_rotation_finds_its_key() {
    let token = Token::new(MessageId(7 << 20), Some(0), Some("acme"));
    let now = token.id.accepted();
    let old = keys(&[1]).seal(&token, Purpose::Return);
    let rotated = keys(&[2, 1]);
    assert_eq!(rotated.open(&old, Purpose::Return, now), Ok(token));
    let new = rotated.seal(&token, Purpose::Return);
    assert_eq!(keys(&[2]).open(&new, Purpose::Return, now), Ok(token));
}

/// Calculated apart: `HMAC-SHA256(00 01 … 1f, "r" 01 0000019ad1ff4000 0001 00112233)`, and base 32 of the whole.
#[test]
fn a_known_token_is_written_as_it_always_was() {
    let secret: Vec<u8> = (0..32).collect();
    let keys = Keys::new(&[secret], 60 * DAY).unwrap();
    let token = Token {
        id: MessageId(0x0000_019a_d1ff_4000),
        recipient: Some(0),
        tenant: 0x0011_2233,
    };
    assert_eq!(
        keys.seal(&token, Purpose::Return),
        "040000ctt7zm0000040128hkr3f6jeg16an9fkae"
    );
    assert_eq!(
        keys.seal(&token, Purpose::Unsubscribe),
        "040000ctt7zm0000040128hkbkegc8f3zq7z5mvf"
    );
}

#[test]
fn the_last_position_of_all_names_the_message() {
    let keys = keys(&[1]);
    let token = Token::new(MessageId(1), Some(u16::MAX), None);
    let text = keys.seal(&token, Purpose::Return);
    let opened = keys
        .open(&text, Purpose::Return, token.id.accepted())
        .unwrap();
    assert_eq!(opened.recipient, None);
}

#[test]
fn secrets_that_are_too_short_are_no_keys_and_none_is_printed() {
    let short = Keys::new(&[vec![7; 32], vec![7; 31]], DAY);
    assert_eq!(short.unwrap_err(), KeysError::Short(1, 31));
    let none: &[&[u8]] = &[];
    assert_eq!(Keys::new(none, DAY).unwrap_err(), KeysError::None);
    assert_eq!(format!("{:?}", keys(&[7, 8])), "Keys(2)");
}

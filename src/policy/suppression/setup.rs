//! What the table was begun with: the key that addresses are hashed with, and how many buckets there are.
//!
//! Neither can change while there are entries: everybody on the list would be written to again, and nobody would notice.
//! So a daemon does not start with another key than the table was begun with.

use crate::store::{Store, StoreError, Written};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

/// Where the store keeps it.
const PLACE: &str = "suppression/setup";
/// What `check` is the tag of.
const CHECKED: &[u8] = b"mailwright suppression";

/// As it stands in the store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// In hexadecimal; absent where the operator keeps the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// A tag by the operator's key, so that another one is found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<String>,
    size: u8,
}

/// The key of the table and its size, in powers of two.
pub(super) struct Begun {
    pub key: Vec<u8>,
    pub size: u8,
}

/// Reads how the table was begun, or begins it: with the operator's key where there is one.
///
/// # Errors
/// The store does not answer, or the table was begun with another key.
pub(super) async fn begin(
    store: &Store,
    size: u8,
    own: Option<&[u8]>,
) -> Result<Begun, StoreError> {
    loop {
        if let Some(there) = store.get(PLACE).await? {
            let setup: Setup = serde_json::from_slice(&there.value)
                .map_err(|error| damaged(&error.to_string()))?;
            let key = key_of(&setup, own)?;
            warn_of_size(setup.size, size);
            return Ok(Begun {
                key,
                size: setup.size,
            });
        }
        let setup = match own {
            Some(own) => Setup {
                key: None,
                check: Some(tag(own)),
                size,
            },
            None => Setup {
                key: Some(hex(&rand::random::<[u8; 32]>())),
                check: None,
                size,
            },
        };
        let value = serde_json::to_vec(&setup).map_err(|error| damaged(&error.to_string()))?;
        // Whoever was first has begun it; what is there then is read.
        let (Written::Yes(_) | Written::Conflict) = store.put(PLACE, 0, &value).await?;
    }
}

fn key_of(setup: &Setup, own: Option<&[u8]>) -> Result<Vec<u8>, StoreError> {
    match (&setup.key, &setup.check, own) {
        (Some(key), None, None) => {
            unhex(key).ok_or_else(|| damaged("its key is not in hexadecimal"))
        }
        (None, Some(check), Some(own)) if *check == tag(own) => Ok(own.to_vec()),
        (None, Some(_), Some(_)) => Err(damaged(
            "the list was begun with another key than suppression.hash_key names: with this one nobody would be found on \
             it; give back the first",
        )),
        (None, Some(_), None) => Err(damaged(
            "the list was begun with a key of yours: name it as suppression.hash_key",
        )),
        (Some(_), None, Some(_)) => Err(damaged(
            "the list was begun with a key of the store's: leave suppression.hash_key out; or export the list, empty the \
             store, and import it",
        )),
        (Some(_), Some(_), _) | (None, None, _) => Err(damaged("it has no key, or two")),
    }
}

fn warn_of_size(begun: u8, configured: u8) {
    if begun != configured {
        tracing::warn!(
            begun,
            configured,
            "suppression.size is as it was when the first entry was made; to change it export the list, empty the store, \
             and import it"
        );
    }
}

fn tag(key: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hex(hmac::sign(&key, CHECKED).as_ref())
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged {
        key: PLACE.to_owned(),
        why: why.to_owned(),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |n, d| n << 4 | d))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(store: &Store, own: Option<&[u8]>) -> String {
        let refused = begin(store, 17, own).await.err();
        refused.map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_key_of_the_stores_is_made_once() {
        let store = Store::in_memory();
        let first = begin(&store, 17, None).await.unwrap();
        let again = begin(&store, 12, None).await.unwrap();
        assert_eq!((first.key.len(), &again.key), (32, &first.key));
        assert_eq!(again.size, 17);
        let refused = refusal(&store, Some(&[7; 32])).await;
        assert!(
            refused.contains("leave suppression.hash_key out"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_key_of_the_operators_is_not_in_the_store_and_no_other_will_do() {
        let store = Store::in_memory();
        let key = b"0123456789abcdef0123456789abcdef";
        assert_eq!(begin(&store, 17, Some(key)).await.unwrap().key, key);
        let held = store.get(PLACE).await.unwrap().unwrap().value;
        let held = String::from_utf8(held).unwrap();
        assert!(!held.contains("0123456789abcdef"), "{held}");
        assert!(!held.contains(&hex(key)), "{held}");
        assert_eq!(begin(&store, 17, Some(key)).await.unwrap().key, key);
        let other = refusal(&store, Some(&[7; 32])).await;
        assert!(other.contains("give back the first"), "{other}");
        let none = refusal(&store, None).await;
        assert!(none.contains("name it as suppression.hash_key"), "{none}");
    }
}

//! AUTH PLAIN (RFC 4616) and LOGIN as functions of lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An exchange under way: what the next line of the client means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    Plain,
    LoginUser,
    LoginPassword { user: String },
}

/// What follows a line of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask on with this challenge, in base 64 already.
    Challenge(Exchange, &'static str),
    /// All is said.
    Credentials {
        user: String,
        password: Vec<u8>,
    },
    /// RFC 4954 §4: `*` gives up.
    Cancelled,
    Malformed,
    /// An authorization identity other than the user's own.
    OtherIdentity,
}

impl Exchange {
    /// Starts `mechanism`; `None` where we do not know it. `initial` is as in the AUTH command.
    pub fn begin(mechanism: &str, initial: Option<&str>) -> Option<Next> {
        let (exchange, challenge) = if mechanism.eq_ignore_ascii_case("PLAIN") {
            (Self::Plain, "")
        } else if mechanism.eq_ignore_ascii_case("LOGIN") {
            // "Username:"
            (Self::LoginUser, "VXNlcm5hbWU6")
        } else {
            return None;
        };
        Some(match initial {
            None => Next::Challenge(exchange, challenge),
            // An empty initial response is written "=".
            Some("=") => exchange.on(b""),
            Some(initial) => exchange.on(initial.as_bytes()),
        })
    }

    /// Takes a line of the client.
    pub fn on(self, line: &[u8]) -> Next {
        if line == b"*" {
            return Next::Cancelled;
        }
        let Ok(said) = STANDARD.decode(line) else {
            return Next::Malformed;
        };
        match self {
            Self::Plain => plain(&said),
            Self::LoginUser => match user_name(&said) {
                // "Password:"
                Some(user) => Next::Challenge(Self::LoginPassword { user }, "UGFzc3dvcmQ6"),
                None => Next::Malformed,
            },
            Self::LoginPassword { user } => Next::Credentials {
                user,
                password: said,
            },
        }
    }
}

/// `[authzid] NUL authcid NUL passwd`.
fn plain(said: &[u8]) -> Next {
    let mut parts = said.split(|b| *b == 0);
    let (Some(identity), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Next::Malformed;
    };
    if !identity.is_empty() && identity != user {
        return Next::OtherIdentity;
    }
    match user_name(user) {
        Some(user) => Next::Credentials {
            user,
            password: password.to_vec(),
        },
        None => Next::Malformed,
    }
}

fn user_name(said: &[u8]) -> Option<String> {
    let user = std::str::from_utf8(said).ok()?;
    let fine = !user.is_empty() && user.len() <= 255 && !user.chars().any(char::is_control);
    fine.then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        STANDARD.encode(text)
    }

    #[test]
    fn plain_takes_one_line() {
        let granted = Next::Credentials {
            user: "ann".into(),
            password: b"pa:ss".to_vec(),
        };
        for said in ["\0ann\0pa:ss", "ann\0ann\0pa:ss"] {
            assert_eq!(
                Exchange::begin("plain", Some(&encoded(said))),
                Some(granted.clone())
            );
        }
        assert_eq!(
            Exchange::begin("PLAIN", None),
            Some(Next::Challenge(Exchange::Plain, ""))
        );
        let other = encoded("bob\0ann\0x");
        assert_eq!(
            Exchange::begin("PLAIN", Some(&other)),
            Some(Next::OtherIdentity)
        );
        for bad in ["", "ann", "\0ann", "\0\0x", "\0ann\0x\0y", "\0a\nn\0x"] {
            assert_eq!(
                Exchange::begin("PLAIN", Some(&encoded(bad))),
                Some(Next::Malformed)
            );
        }
        assert_eq!(Exchange::begin("PLAIN", Some("!")), Some(Next::Malformed));
        assert_eq!(Exchange::begin("CRAM-MD5", None), None);
    }

    #[test]
    fn login_asks_twice() {
        let Some(Next::Challenge(exchange, "VXNlcm5hbWU6")) = Exchange::begin("LOGIN", None) else {
            panic!("no challenge");
        };
        let Next::Challenge(exchange, "UGFzc3dvcmQ6") = exchange.on(encoded("ann").as_bytes())
        else {
            panic!("no challenge");
        };
        assert_eq!(exchange.clone().on(b"*"), Next::Cancelled);
        let said = exchange.on(encoded("secret").as_bytes());
        assert!(matches!(said, Next::Credentials { user, .. } if user == "ann"));
    }
}

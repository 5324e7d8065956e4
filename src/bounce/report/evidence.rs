//! What a notice says of one recipient, nearest first, and what follows from it.

use super::Action;
use super::fields::cut;
use crate::bounce::rules::{Classifier, Ruling, Said, Seen, softened};
use crate::mail::{BounceClass, EnhancedCode, Finding};

/// What is known of one failure.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The status that a field gives.
    pub status: Option<EnhancedCode>,
    /// Said of this recipient and no other.
    pub said: Vec<String>,
    /// Said in the same notice. It counts only where nothing nearer says why.
    pub around: Vec<String>,
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    pub finding: Finding,
    pub status: Option<EnhancedCode>,
    /// The text that says it.
    pub said: Option<String>,
}

/// Octets of a text that are kept.
const LONGEST: usize = 2048;
/// Replies within a text that are judged.
const MOST_REPLIES: usize = 12;

impl Evidence {
    pub fn judge(&self, classifier: &Classifier, action: Action) -> Judgement {
        let judged = self.weigh(classifier);
        Judgement {
            finding: for_action(action, judged.finding),
            ..judged
        }
    }

    /// A text that a rule knows counts, the nearest first; then codes that say something; then any code.
    fn weigh(&self, classifier: &Classifier) -> Judgement {
        let specific = self.status.filter(is_specific);
        let near = self.rulings(&self.said, classifier);
        if let Some(found) = near.iter().find(|weighed| weighed.is_matched) {
            return found.judgement(self);
        }
        let coded = near.iter().find(|weighed| weighed.is_coded);
        if let Some(found) = coded.filter(|weighed| weighed.is_known) {
            return found.judgement(self);
        }
        if specific.is_some() && coded.is_none() {
            let seen = self.seen(&Piece {
                code: None,
                text: "",
            });
            let weighed = Weighed::of("", &seen, classifier.ruling(&seen));
            if weighed.is_matched {
                return Judgement {
                    said: self.said.first().cloned(),
                    ..weighed.judgement(self)
                };
            }
        }
        let far = self.rulings(&self.around, classifier);
        let known = far.iter().find(|weighed| weighed.is_matched);
        let known = known.or_else(|| near.iter().find(|weighed| weighed.is_known));
        match known.or_else(|| far.iter().find(|weighed| weighed.is_known)) {
            Some(found) => found.judgement(self),
            None => Judgement {
                finding: BounceClass::Unknown.into(),
                status: self.status,
                said: self
                    .said
                    .first()
                    .or(self.around.first())
                    .map(|said| shortened(said)),
            },
        }
    }

    fn rulings<'t>(&self, texts: &'t [String], classifier: &Classifier) -> Vec<Weighed<'t>> {
        let pieces = texts.iter().flat_map(|text| replies(text));
        let weighed = pieces.map(|piece| {
            let seen = self.seen(&piece);
            Weighed::of(piece.text, &seen, classifier.ruling(&seen))
        });
        weighed.collect()
    }

    /// A text, with the status of the field where it has none of its own.
    fn seen<'t>(&self, piece: &Piece<'t>) -> Seen<'t> {
        let mut seen = Seen::of(&Said {
            code: piece.code,
            text: piece.text,
            ..Said::default()
        });
        seen.enhanced = seen.enhanced.or(self.status);
        seen
    }
}

/// A text, or a reply within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece<'t> {
    code: Option<u16>,
    text: &'t str,
}

#[derive(Debug)]
struct Weighed<'t> {
    text: &'t str,
    finding: Finding,
    status: Option<EnhancedCode>,
    /// A rule knows the words.
    is_matched: bool,
    /// A rule knows at least the codes.
    is_known: bool,
    /// It has an enhanced code that says something.
    is_coded: bool,
}

impl<'t> Weighed<'t> {
    fn of(text: &'t str, seen: &Seen<'_>, ruling: Ruling<'_>) -> Self {
        Self {
            text,
            finding: ruling.finding,
            status: seen.enhanced,
            is_matched: ruling.is_matched(),
            is_known: ruling.rule.is_some(),
            is_coded: seen.enhanced.as_ref().is_some_and(is_specific),
        }
    }

    fn judgement(&self, evidence: &Evidence) -> Judgement {
        Judgement {
            finding: self.finding,
            status: self.status.or(evidence.status),
            said: (!self.text.is_empty()).then(|| shortened(self.text)),
        }
    }
}

/// `5.0.0` says nothing, and neither do the codes of protocol that are written where there is no better one.
fn is_specific(code: &EnhancedCode) -> bool {
    (code.1, code.2) != (0, 0) && code.1 != 5
}

/// Success says nothing of a failure; what is tried again condemns nobody.
fn for_action(action: Action, finding: Finding) -> Finding {
    match action {
        Action::Failed => finding,
        Action::Delayed => softened(finding),
        Action::Delivered | Action::Relayed | Action::Expanded => Finding {
            class: BounceClass::Autoreply,
            subject: None,
        },
    }
}

/// The replies of servers within a text, then the text.
fn replies(text: &str) -> Vec<Piece<'_>> {
    let starts: Vec<usize> = reply_starts(text).take(MOST_REPLIES).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let pieces = starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| piece(text.get(*start..end)?));
    let mut pieces: Vec<Piece<'_>> = pieces.collect();
    if starts.first() != Some(&0) || starts.len() > 1 {
        let code = pieces.first().and_then(|piece| piece.code);
        pieces.push(Piece {
            code,
            text: without_farewell(text),
        });
    }
    pieces
}

/// A reply up to the end of its paragraph; `None` where it is a bare code.
fn piece(text: &str) -> Option<Piece<'_>> {
    let text = text.split("\n\n").next()?;
    let text = without_farewell(text).trim();
    let code = text.get(..3)?.parse().ok();
    (text.len() > 4).then_some(Piece { code, text })
}

/// qmail adds that it gives up, whatever the reason is.
fn without_farewell(text: &str) -> &str {
    match text.find("Giving up on ") {
        Some(at) if at > 0 => text.get(..at).unwrap_or(text),
        _ => text,
    }
}

/// Where a reply code stands. The further lines of one reply (`550-`, `550 `) begin none.
fn reply_starts(text: &str) -> impl Iterator<Item = usize> {
    // The code of a reply of several lines, of which the last line is yet to come.
    let mut open = None;
    let mut from = 0;
    let words = std::iter::from_fn(move || {
        let rest = text.get(from..)?;
        let start = from + rest.find(|c: char| c.is_ascii_digit())?;
        let digits = text.get(start..)?.find(|c: char| !c.is_ascii_digit());
        from = digits.map_or(text.len(), |length| start + length);
        Some((start, from))
    });
    words.filter_map(move |(start, end)| {
        let code = text.get(start..end)?;
        let before = text.get(..start)?.chars().next_back();
        let behind = text.get(end..)?.chars().next();
        let is_code = code.len() == 3 && code.starts_with(['4', '5']) && code.get(1..2)? <= "5";
        let stands_alone = before.is_none_or(|c| c.is_whitespace() || "([:\"'<>;=,-".contains(c))
            && behind.is_none_or(|c| c.is_whitespace() || "-,:;>".contains(c));
        if !is_code || !stands_alone {
            return None;
        }
        let goes_on = open == Some(code);
        open = (behind == Some('-')).then_some(code);
        (!goes_on).then_some(start)
    })
}

fn shortened(text: &str) -> String {
    let joined: Vec<&str> = cut(text, LONGEST).split_whitespace().collect();
    joined.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Subject;

    fn judged(status: Option<EnhancedCode>, said: &str, around: &str) -> BounceClass {
        let texts = |text: &str| match text {
            "" => Vec::new(),
            text => vec![text.to_owned()],
        };
        let evidence = Evidence {
            status,
            said: texts(said),
            around: texts(around),
        };
        let classifier = Classifier::new().unwrap();
        evidence.judge(&classifier, Action::Failed).finding.class
    }

    #[test]
    fn the_nearest_words_count_and_codes_where_there_are_none() {
        use BounceClass::*;
        let code = |subject, detail| Some(EnhancedCode(5, subject, detail));
        for (status, said, around, class) in [
            (code(1, 1), "552 5.2.2 mailbox full", "", Soft),
            (code(1, 1), "", "Your message looks like spam", Hard),
            (code(0, 0), "554 failed", "550 5.1.1 User unknown", Hard),
            (None, "host mx said: 550 User unknown", "mailbox full", Hard),
            (None, "", "", Unknown),
        ] {
            assert_eq!(judged(status, said, around), class, "{said} | {around}");
        }
    }

    #[test]
    fn what_is_still_tried_or_was_delivered_condemns_nobody() {
        let evidence = Evidence {
            said: vec!["550 5.1.1 User unknown".into()],
            ..Evidence::default()
        };
        let classifier = Classifier::new().unwrap();
        let finding = |action| evidence.judge(&classifier, action).finding;
        assert!(finding(Action::Failed).condemns());
        assert_eq!(finding(Action::Failed).subject, Some(Subject::Recipient));
        for action in [
            Action::Delayed,
            Action::Delivered,
            Action::Relayed,
            Action::Expanded,
        ] {
            assert!(!finding(action).condemns(), "{action:?}");
        }
    }

    #[test]
    fn replies_stand_out_of_a_text() {
        let text =
            "host mx[192.0.2.55] said: 550-5.1.1 no such 550 5.1.1 user, then 452 4.2.2 full";
        let texts = |text| {
            replies(text)
                .iter()
                .map(|piece| piece.text)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts(text),
            [
                "550-5.1.1 no such 550 5.1.1 user, then",
                "452 4.2.2 full",
                text
            ]
        );
        assert_eq!(texts("no codes 5500 10.550"), ["no codes 5500 10.550"]);
        assert_eq!(replies("CODE :421, no")[0].code, Some(421));
        assert_eq!(texts("550 no such user\n\nthe end")[0], "550 no such user");
    }
}

//! Phrases of notices and automatic replies, in the languages in which they are met. All in lower case.

use crate::bounce::report::Action;

/// Whether a text says that mail was not delivered.
pub fn is_failure(text: &str) -> bool {
    has(&joined(text), FAILURES)
}

/// Whether a subject (in lower case) says so.
pub fn is_failure_subject(subject: &str) -> bool {
    has(subject, FAILURE_SUBJECTS)
}

/// Whether a mailing list says that the sender may not write to it.
pub fn is_list_refusal(text: &str) -> bool {
    has(&joined(text), LIST_REFUSALS)
}

/// Whether a subject (in lower case) or a text is that of an automatic reply: a person is away, has moved, or wants
/// the sender to confirm.
pub fn is_autoreply(subject: &str, text: &str) -> bool {
    AUTOREPLY_BEGINNINGS
        .iter()
        .any(|words| subject.starts_with(words))
        || has(subject, AUTOREPLY_SUBJECTS)
        || has(&joined(text), CHALLENGES)
}

/// What happened: a delay or a success is told by its own words; anything else is a failure.
pub fn action(text: &str, subject: &str) -> Action {
    let text = joined(text);
    if has(&text, GIVEN_UP) {
        return Action::Failed;
    }
    if has(&text, DELAYS) || has(subject, DELAY_SUBJECTS) {
        return Action::Delayed;
    }
    let fails = has(&text, FAILURES) || has(subject, FAILURE_SUBJECTS);
    match has(&text, SUCCESSES) && !fails {
        true => Action::Delivered,
        false => Action::Failed,
    }
}

/// In lower case and on one line, so that a phrase may run over the end of a line.
fn joined(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

fn has(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

const FAILURE_SUBJECTS: &[&str] = &[
    "undeliver",
    "non-deliver",
    "nondeliver",
    "not deliver",
    "returned mail",
    "returned to sender",
    "return to sender",
    "returning message",
    "failure notice",
    "failed delivery",
    "delivery fail",
    "delivery has failed",
    "delivery error",
    "delivery problem",
    "delivery status",
    "delivery notification",
    "delivery report",
    "delivery failure",
    "mail failure",
    "mail error",
    "mail system error",
    "mail delivery",
    "could not be delivered",
    "couldn't be delivered",
    "error sending your mail",
    "unable to deliver",
    "bounce notification",
    "message rejected",
    "mail rejected",
    "unzustellbar",
    "nicht zugestellt",
    "zustellung fehlgeschlagen",
    "rückläufer",
    "non remis",
    "non distribu",
    "échec de la remise",
    "no se puede entregar",
    "no entregado",
    "non recapitabile",
    "mancato recapito",
    "não entregue",
    "niedostarczon",
    "onbestelbaar",
    "недостав",
    "не доставлено",
    "配信不能",
    "配信エラー",
    "送信エラー",
    "エラーメール",
    "退信",
    "投递失败",
    "无法投递",
];

const FAILURES: &[&str] = &[
    "not be delivered",
    "not deliver",
    "n't deliver",
    "n't be delivered",
    "unable to deliver",
    "undeliverable",
    "undelivered",
    "non-deliverable",
    "delivery failed",
    "delivery has failed",
    "delivery failure",
    "failed permanently",
    "has been failed",
    "permanent error",
    "permanent fatal error",
    "had permanent",
    "delivery errors",
    "delivery problems",
    "delivering your mail",
    "delivering your message",
    "error sending your mail",
    "did not reach",
    "not reach",
    "could not be reached",
    "could not be sent",
    "couldn't be sent",
    "can't be sent",
    "failed to deliver",
    "failed to send",
    "was rejected",
    "were rejected",
    "was refused",
    "been rejected",
    "returned to sender",
    "returned mail",
    "attempting to deliver",
    "was aborted",
    "failure reasons",
    "unknown user",
    "user unknown",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "unknown recipient",
    "unknown address",
    "unknown local",
    "invalid user",
    "invalid recipient",
    "invalid address",
    "mailbox is full",
    "mailbox full",
    "over quota",
    "non-delivery",
    "transcript of session",
    "returned to you",
    "message could not",
    "mail could not",
    "konnte nicht zugestellt",
    "nicht zugestellt werden",
    "n'a pas pu être",
    "n'a pas été remis",
    "no se ha podido entregar",
    "no pudo ser entregado",
    "non è stato possibile",
    "não pôde ser entregue",
    "не может быть доставлено",
    "не удалось доставить",
    "не доставлено",
    "送信できません",
    "配信できません",
    "配送できません",
    "届けることができません",
    "送信に失敗",
    "配信に失敗",
    "存在しません",
    "无法投递",
    "无法送达",
    "退回",
];

const LIST_REFUSALS: &[&str] = &[
    "not a member of this mailing list",
    "not allowed to post",
    "not permitted to post",
    "permission to post",
    "only members may post",
    "only subscribers may post",
    "message has been rejected by the list",
    "duplicated message-id",
    "message is too big for the list",
];

/// What a delay notice says before it may say the words of a delay.
const GIVEN_UP: &[&str] = &[
    "i've given up",
    "giving up",
    "not going to try again",
    "no further delivery attempts",
    "no further attempts",
    "will not be retried",
    "will not be tried again",
    "has been in the queue too long",
    "permanent error",
    "failed permanently",
    "permanent fatal error",
    "could not be delivered for more than",
    "retry timeout exceeded",
];

const DELAYS: &[&str] = &[
    "has not yet been delivered",
    "not yet been delivered",
    "not been delivered yet",
    "has been delayed",
    "is delayed",
    "was delayed",
    "delivery delayed",
    "delivery is delayed",
    "will be retried",
    "will keep trying",
    "will continue to be made",
    "will continue to try",
    "continue trying to deliver",
    "still being retried",
    "this is a warning message only",
    "warning message only",
    "do not need to resend",
    "don't need to resend",
    "no action is required on your part",
    "delivery attempts will continue",
    "still trying to deliver",
    "nochmals versucht",
    "weitere zustellversuche",
    "配送が遅れ",
    "配信が遅れ",
    "再送を試み",
];

const DELAY_SUBJECTS: &[&str] = &[
    "(delay)",
    "delayed",
    "delivery delay",
    "still being retried",
    "warning: could not send",
    "warning: message",
    "will be retried",
    "verzögert",
    "retardée",
];

const SUCCESSES: &[&str] = &[
    "was successfully delivered",
    "been successfully delivered",
    "successfully delivered to",
    "successfully relayed",
    "was delivered to",
    "has been delivered to",
    "were delivered to",
    "delivery to the following recipients was successful",
    "relayed to the following",
];

const AUTOREPLY_BEGINNINGS: &[&str] = &[
    "auto:",
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "auto-response",
    "autoresponse",
    "automated reply",
    "automated response",
    "automatische antwort",
    "automatisch antwoord",
    "automatisk svar",
    "automaattinen vastaus",
    "réponse automatique",
    "respuesta automática",
    "respuesta automatica",
    "resposta automática",
    "risposta automatica",
    "automatická odpověď",
    "automatyczna odpowiedź",
    "odpowiedź automatyczna",
    "автоответ",
    "автоматический ответ",
    "otomatik yanıt",
    "自動応答",
    "自動返信",
    "自动回复",
    "自動回覆",
    "자동 회신",
    "자동 응답",
];

const AUTOREPLY_SUBJECTS: &[&str] = &[
    "out of office",
    "out of the office",
    "out-of-office",
    "away from my mail",
    "away from the office",
    "on vacation",
    "on holiday",
    "on leave",
    "vacation reply",
    "abwesenheit",
    "nicht im büro",
    "nicht im hause",
    "absence du bureau",
    "message d'absence",
    "fuera de la oficina",
    "fuera de oficina",
    "ausente del",
    "fuori ufficio",
    "fuori sede",
    "fora do escritório",
    "ausência temporária",
    "afwezig",
    "poza biurem",
    "вне офиса",
    "в отпуске",
    "不在",
    "外出",
    "休假",
    "mailbox has moved",
    "change of address",
    "new email address",
    "new e-mail address",
    "no longer with",
    "has left the company",
    "please confirm your message",
    "verify your message",
    "confirm your email",
    "message verification",
    "requires confirmation",
    "challenge response",
    "awaits moderator approval",
];

const CHALLENGES: &[&str] = &[
    "please confirm that you sent",
    "to confirm that you are a human",
    "verify that you are a human",
    "prove that you are human",
    "reply to this message to confirm",
    "your message is being held until",
    "to release your message, click",
    "protected by boxtrapper",
    "spam arrest",
    "sender verification",
    "tagged message delivery agent",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_in_lower_case() {
        for list in [
            FAILURE_SUBJECTS,
            FAILURES,
            LIST_REFUSALS,
            GIVEN_UP,
            DELAYS,
            DELAY_SUBJECTS,
            SUCCESSES,
            AUTOREPLY_BEGINNINGS,
            AUTOREPLY_SUBJECTS,
            CHALLENGES,
        ] {
            for phrase in list {
                assert_eq!(*phrase, phrase.to_lowercase());
            }
        }
    }

    #[test]
    fn delays_are_told_from_failures_and_successes() {
        for (text, subject, action) in [
            (
                "Your message has not yet been\ndelivered; it will be retried.",
                "",
                Action::Delayed,
            ),
            (
                "No luck.",
                "delivery status notification (delay)",
                Action::Delayed,
            ),
            ("It was delayed, and I've given up.", "", Action::Failed),
            (
                "Your message was delivered to ann.",
                "success",
                Action::Delivered,
            ),
            (
                "It could not be delivered; the rest was delivered to bob.",
                "",
                Action::Failed,
            ),
        ] {
            assert_eq!(super::action(text, subject), action, "{text}");
        }
    }

    #[test]
    fn people_who_are_away_are_told_in_their_language() {
        for subject in [
            "automatische antwort: mail",
            "re: out of office",
            "自動応答: お知らせ",
        ] {
            assert!(is_autoreply(subject, ""), "{subject}");
        }
        assert!(!is_autoreply("failure notice", "unable to deliver"));
        assert!(is_autoreply("hello", "Please confirm that you sent this"));
    }
}

//! What is to be decided at the end of a day, by the rules as they are written for operators.

/// What a day came to, for the mail of a source to one provider or for all of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Day {
    pub cap: u64,
    /// Delivered, or refused for good because there is no such mailbox.
    pub used: u64,
    pub bounced: u64,
    pub deferred: u64,
    /// Refused for what the provider thinks of the source.
    pub blocked: u64,
}

pub struct Unit {
    /// `*` is all mail of the source.
    pub provider: &'static str,
    /// From 1.
    pub stage: u32,
    days: Vec<Day>,
    /// The first day that has not been answered for by going back.
    fresh: usize,
}

impl Unit {
    pub fn new(provider: &'static str) -> Unit {
        Unit {
            provider,
            stage: 1,
            days: Vec::new(),
            fresh: 0,
        }
    }

    /// What the event of the decision begins with, and what it has among its numbers.
    pub fn conclude(&mut self, day: Day, stages: u32) -> (String, String) {
        self.days.push(day);
        let from = self.fresh.max(self.days.len().saturating_sub(3));
        let sum = |of: fn(&Day) -> u64| self.days[from..].iter().map(of).sum::<u64>();
        let (bounced, blocked, deferred) =
            (sum(|d| d.bounced), sum(|d| d.blocked), sum(|d| d.deferred));
        let answers = sum(|d| d.used) + blocked;
        let wanted = (day.cap * 3 * 80 / 100).clamp(1, 40);
        let enough = answers >= wanted;
        let used = format!("{} of {} used", day.used, day.cap);
        let ratio = |what: &str, part: u64, whole: u64| format!("{what} {part} of {whole}");

        if enough && reaches(5, bounced, answers) {
            return self.back(ratio("bounces", bounced, answers));
        }
        if enough && reaches(1, blocked, answers) {
            return self.back(ratio("blocks", blocked, answers));
        }
        if enough && reaches(20, deferred, answers + deferred) {
            return self.back(ratio("deferrals", deferred, answers + deferred));
        }
        if !reaches(80, day.used, day.cap) {
            return self.hold(used);
        }
        if day.blocked > 0 && self.provider != "*" {
            return self.hold(format!("blocked {} times", day.blocked));
        }
        if reaches(2, bounced, answers) {
            return self.hold(ratio("bounces", bounced, answers));
        }
        if reaches(10, deferred, answers + deferred) {
            return self.hold(ratio("deferrals", deferred, answers + deferred));
        }
        if !enough {
            return self.hold(format!("{answers} answers seen, {wanted} are asked for"));
        }
        self.stage += 1;
        match self.stage > stages {
            true => (format!("warm after stage {stages}"), used),
            false => (format!("advanced to stage {}", self.stage), used),
        }
    }

    /// More was sent on the last day after it had been judged.
    pub fn hears_later(&mut self, more: u64) {
        if let Some(day) = self.days.last_mut() {
            day.used += more;
        }
    }

    fn hold(&self, because: String) -> (String, String) {
        (format!("held at stage {}", self.stage), because)
    }

    fn back(&mut self, because: String) -> (String, String) {
        self.fresh = self.days.len();
        if self.stage == 1 {
            return ("stays at stage 1".into(), because);
        }
        self.stage -= 1;
        (format!("rolled back to stage {}", self.stage), because)
    }
}

fn reaches(percent: u64, part: u64, whole: u64) -> bool {
    part > 0 && part * 100 >= whole * percent
}

//! When who is due: so many turns a second, evenly, each client in its turn. Pure.

use std::time::Duration;

/// What is further behind is not made up for: this program was stopped, or has too little of a core.
const FAR_BEHIND: Duration = Duration::from_secs(1);

pub struct Pace {
    /// None: nobody is ever due.
    step: Option<Duration>,
    clients: u32,
    /// Turns that were taken.
    turns: u64,
    next: Duration,
}

impl Pace {
    /// `rate` turns a second, which `clients` take one after the other.
    pub fn new(rate: f64, clients: u32) -> Pace {
        let step = (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate));
        Pace { step, clients, turns: 0, next: Duration::ZERO }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Duration> {
        self.step.map(|_| self.next)
    }

    /// Whose turn it is, if it is due, and since when.
    pub fn take(&mut self, now: Duration) -> Option<(u32, Duration)> {
        let due = self.next().filter(|&due| due <= now)?;
        let client = (self.turns % u64::from(self.clients.max(1))) as u32;
        self.turns += 1;
        self.next = match now - due > FAR_BEHIND {
            true => now,
            false => due + self.step?,
        };
        Some((client, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_in_its_turn_and_nothing_is_made_up_for_after_a_stop() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new(1000.0, 3);
        let taken: Vec<_> = std::iter::from_fn(|| pace.take(ms(3))).collect();
        assert_eq!(taken, [(0, ms(0)), (1, ms(1)), (2, ms(2)), (0, ms(3))]);
        assert_eq!(pace.take(ms(3000)), Some((1, ms(4))));
        assert_eq!(pace.next(), Some(ms(3000)));
        assert_eq!(Pace::new(0.0, 0).take(ms(9)), None);
    }
}

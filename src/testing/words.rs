//! Words between services in memory.

use super::{Harness, PATIENCE};
use crate::{service::Service, tasks::OtherGeneration};

impl<S: Service> Harness<S> {
    /// Carries what this service and that of `other`, another generation, have [told](crate::Net::tell) each other, until
    /// nothing is left on the way. Where one of them [has ended](Self::has_ended), what was told to it comes back.
    ///
    /// The sides of a [restart that has begun](Self::begin_restart) know each other, and so do those that come of it. What
    /// one tells stays with it until this is called, so a test says which of two things was first. Nothing is carried to a
    /// process that is lost before.
    ///
    /// # Panics
    /// When they never come to an end: each answers whatever the other one says.
    ///
    /// ```
    /// use heirloom::{Connection, Move, Net, Origin, Result, Service, testing::Harness};
    ///
    /// /// A feed with subscribers in two generations: each line goes to all of them.
    /// #[derive(Default)]
    /// struct Feed(Vec<heirloom::ConnId>);
    ///
    /// impl Feed {
    ///     fn publish(&self, net: &mut Net, line: &[u8]) {
    ///         for &id in &self.0 {
    ///             net.get(id).into_iter().for_each(|mut conn| conn.send(line));
    ///         }
    ///     }
    /// }
    ///
    /// impl Service for Feed {
    ///     type Session = ();
    ///     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
    ///         self.0.push(conn.id());
    ///         Ok(())
    ///     }
    ///     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), line: &[u8]) -> Result<usize> {
    ///         self.publish(conn.net, line);
    ///         for other in conn.net.generations() {
    ///             conn.net.tell(other.number, line)?;
    ///         }
    ///         Ok(line.len())
    ///     }
    ///     fn on_word(&mut self, net: &mut Net, _from: u64, line: &[u8]) {
    ///         self.publish(net, line);
    ///     }
    ///     fn on_move(&self, _: &()) -> Move {
    ///         Move::Stay
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(Feed::default());
    /// let early = harness.connect();
    /// let (mut old, mut new) = harness.begin_restart(Feed::default())?.commit();
    /// let late = new.connect();
    /// old.feed(early, b"from the old one\n");
    /// new.feed(late, b"from the new one\n");
    /// old.exchange(&mut new);
    /// assert_eq!(old.take(early), b"from the old one\nfrom the new one\n");
    /// assert_eq!(new.take(late), b"from the new one\nfrom the old one\n");
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn exchange<N: Service>(&mut self, other: &mut Harness<N>) {
        self.know_of(other);
        other.know_of(self);
        for _ in 0..PATIENCE {
            let (there, back) = (self.carry_to(other), other.carry_to(self));
            if !there && !back {
                return;
            }
        }
        panic!("the two still tell each other something after {PATIENCE} times");
    }

    /// What a process knows of another one by now.
    pub(super) fn know_of<N: Service>(&mut self, other: &Harness<N>) {
        if other.has_ended() {
            return self.forget(other);
        }
        let (number, phase) = (other.turn.net.generation(), other.turn.succession.phase());
        let other = OtherGeneration { number, serves: phase.accepts() };
        let words = &mut self.turn.net.words;
        let mut known: Vec<_> = words.known().to_vec();
        known.retain(|known| known.number != number);
        known.push(other);
        words.know(known, Vec::new());
    }

    /// That one has ended.
    pub(super) fn forget<N: Service>(&mut self, other: &Harness<N>) {
        let number = other.turn.net.generation();
        let words = &mut self.turn.net.words;
        let known = words.known().iter().copied().filter(|known| known.number != number).collect();
        words.know(known, Vec::new());
        self.settle();
    }

    /// Answers whether there was anything.
    fn carry_to<N: Service>(&mut self, other: &mut Harness<N>) -> bool {
        let (own, to) = (self.turn.net.generation(), other.turn.net.generation());
        let (mine, theirs) = (&mut self.turn.net.words, &mut other.turn.net.words);
        let mut is_news = false;
        while let Some(heard) = mine.next_heard(own, |number| number == to) {
            theirs.heard(heard.by, heard.number);
            mine.acknowledged(to);
            is_news = true;
        }
        while let Some(batch) = mine.next_batch(own, |number| number == to) {
            mine.sent(to, batch.words.len());
            theirs.receive(batch);
            is_news = true;
        }
        other.settle();
        if other.has_ended() {
            self.forget(other);
        }
        is_news
    }
}

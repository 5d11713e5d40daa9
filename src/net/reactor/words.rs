//! Other generations, as a callback may tell them something.

use super::Net;
use crate::tasks::{OtherGeneration, TellError};

impl Net {
    /// The other generations that live and can be told something: those that drain and, from the moment when it
    /// serves, a newer one. There are some only while a restart is under way or clients have stayed with an old process.
    ///
    /// Nobody is known before [`on_start`](crate::Service::on_start), nor in [`on_end`](crate::Service::on_end), nor to
    /// those that are left when the newest has ended: it is the way between them. A program that is
    /// older than this way to speak is not among them.
    ///
    /// ```
    /// # use heirloom::Net;
    /// /// Whoever accepts new clients by now; `None`: this process.
    /// fn successor(net: &Net) -> Option<u64> {
    ///     net.generations().iter().find(|other| other.serves).map(|other| other.number)
    /// }
    /// ```
    pub fn generations(&self) -> Vec<OtherGeneration> {
        self.words.known().to_vec()
    }

    /// Tells another generation something: its [`on_word`](crate::Service::on_word) is called with these bytes, once, and
    /// after all that this process has told it before. Nothing is said about the order of what different processes tell.
    ///
    /// It leaves with the turn, and is kept until that process has taken it. If it ends before, by itself or
    /// killed, the word comes back to [`on_undelivered`](crate::Service::on_undelivered). A restart changes nothing:
    /// a word is for the process that it was told to, and is no part of what moves to another. A
    /// process that drains waits for what it has told to be taken, but for no longer than its
    /// [deadline](crate::Drain::deadline); one that is stopped at once is told of what has not left.
    ///
    /// The services agree on what the bytes mean, also those of different versions.
    ///
    /// # Errors
    /// When there is no such generation, when its program knows no words, when the word is longer than
    /// [`limits::WORD_MAX`](crate::limits::WORD_MAX), and when as much waits for that generation as may wait
    /// ([`limits::WORDS_BYTES`](crate::limits::WORDS_BYTES), [`WORDS_COUNT`](crate::limits::WORDS_COUNT)). Nothing was told then.
    ///
    /// ```
    /// use heirloom::{ConnId, Connection, Net, Origin, Result, Service, testing::Harness};
    /// use std::collections::BTreeMap;
    ///
    /// /// Who has a name has it alone, wherever it was given: a newcomer takes it over.
    /// #[derive(Default)]
    /// struct Names(BTreeMap<Vec<u8>, ConnId>);
    ///
    /// impl Names {
    ///     fn close(&mut self, net: &mut Net, name: &[u8]) {
    ///         let former = self.0.remove(name).and_then(|id| net.get(id));
    ///         former.into_iter().for_each(|mut conn| conn.close());
    ///     }
    /// }
    ///
    /// impl Service for Names {
    /// #   type Session = ();
    /// #   fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    ///     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), name: &[u8]) -> Result<usize> {
    ///         self.close(conn.net, name);
    ///         self.0.insert(name.to_vec(), conn.id());
    ///         for other in conn.net.generations() {
    ///             conn.net.tell(other.number, name)?; // there the name is somebody else's by now
    ///         }
    ///         Ok(name.len())
    ///     }
    ///     fn on_word(&mut self, net: &mut Net, _from: u64, name: &[u8]) {
    ///         self.close(net, name);
    ///     }
    /// #   fn on_move(&self, _: &()) -> heirloom::Move { heirloom::Move::Stay }
    /// }
    ///
    /// let mut harness = Harness::new(Names::default());
    /// let stays = harness.connect();
    /// harness.feed(stays, b"ann");
    /// let mut sides = harness.begin_restart(Names::default())?;
    /// let late = sides.new.connect();
    /// sides.new.feed(late, b"ann");
    /// sides.exchange();
    /// assert!(sides.old.is_closed(stays) && !sides.new.is_closed(late));
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn tell(&mut self, to: u64, word: impl AsRef<[u8]>) -> Result<(), TellError> {
        self.words.tell(to, word.as_ref())
    }
}

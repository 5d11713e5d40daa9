//! Whole conversations of several peers, played in every way in which they may go.
//!
//! `script` is what an author writes, of `step`s; `run` one way in which it may go, `every` all of them. `player` plays one,
//! `restarting` restarts the service in it, `line` is a peer's end, and `hearing` whether it has heard what it was to hear.

mod every;
mod hearing;
mod line;
mod player;
mod restarting;
mod run;
mod script;
mod step;

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use self::{player::Player, run::Way};
pub use self::{run::Run, script::Conversation};
use crate::service::Service;

/// A run of a [`Conversation`] that has not gone as it should. As text it says which, what is wrong, and what was said
/// until then.
///
/// ```
/// # use heirloom::{Connection, Origin, Result, Service};
/// use heirloom::testing::Conversation;
/// # struct Mute;
/// # impl Service for Mute {
/// #     type Session = ();
/// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
/// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
/// # }
///
/// let talk = Conversation::new().says("ann", "hello\n").hears("ann", "hello\n");
/// let failure = talk.first_failure(|| Mute).expect("it says nothing");
/// assert_eq!(failure.run.to_string(), "plain");
/// assert_eq!(failure.what, r#"step 3: ann does not hear "hello\n""#);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Which run it was.
    pub run: Run,
    /// What is wrong.
    pub what: String,
    /// What has happened until then, line by line.
    pub transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the conversation does not go as it should: {}", self.what)?;
        writeln!(f, "in the run `{0}`; to play it alone: `.only(\"{0}\", ...)`", self.run)?;
        write!(f, "{}", self.transcript.join("\n"))
    }
}

impl std::error::Error for Failure {}

impl Conversation {
    /// Plays all [runs](Self::runs), each with a service that is made for it, and answers how many there are. The same
    /// `service` stands for a new program.
    ///
    /// # Panics
    /// When one does not go as it should, with the [`Failure`].
    #[track_caller]
    pub fn check<S: Service>(&self, service: impl Fn() -> S) -> usize {
        if let Some(failure) = self.first_failure(service) {
            panic!("{failure}");
        }
        self.runs().len()
    }

    /// As [`check`](Self::check), with an answer.
    pub fn first_failure<S: Service>(&self, service: impl Fn() -> S) -> Option<Failure> {
        self.runs().iter().find_map(|run| self.play(run, &service).err())
    }

    /// Plays one run, as a failure names it.
    ///
    /// # Panics
    /// When that is none, or it does not go as it should.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, testing::Conversation};
    /// # struct Echo;
    /// # impl Service for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         conn.send(input);
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// let talk = Conversation::new().says("ann", "hello\n").hears("ann", "hello\n");
    /// talk.only("fork moving after 2:3, commits", || Echo);
    /// ```
    #[track_caller]
    pub fn only<S: Service>(&self, run: &str, service: impl Fn() -> S) {
        let run = run.parse().unwrap_or_else(|why: String| panic!("{why}"));
        if let Err(failure) = self.play(&run, service) {
            panic!("{failure}");
        }
    }

    /// Plays one run.
    ///
    /// # Errors
    /// When it does not go as it should.
    pub fn play<S: Service>(
        &self,
        run: &Run,
        service: impl Fn() -> S,
    ) -> std::result::Result<(), Failure> {
        let mut transcript = Vec::new();
        if let Some(place) = self.misses(&run.0) {
            let what =
                format!("{place} is no place in this script where anything is cut or restarted");
            return Err(Failure { run: run.clone(), what, transcript });
        }
        let times = if run.0 == Way::Twice { 2 } else { 1 };
        for _ in 0..times {
            transcript.clear();
            // The harness lets panics of the service through, and they are not to hide which run it was.
            let played = panic::catch_unwind(AssertUnwindSafe(|| {
                Player::new(self, &service, run, &mut transcript, Instant::now()).play()
            }));
            let played = played.unwrap_or_else(|what| Err(format!("panicked: {}", words(&*what))));
            if let Err(what) = played {
                return Err(Failure { run: run.clone(), what, transcript });
            }
        }
        Ok(())
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("something")
}

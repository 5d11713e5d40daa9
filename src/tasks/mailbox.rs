//! Mail from other threads: a bounded queue and a waker for the loop. Knows no service; the
//! threads are the author's.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mio::Waker;

use crate::log_target::TASKS;

/// All of a process, as its loop knows of them.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes {
    /// Wakes the loop for them, if there are any.
    pub waker: Option<Arc<Waker>>,
    /// Messages are left over from this turn.
    pub waits: bool,
}

/// Makes a mailbox: the end that is posted to, and the end that
/// [`Server::inbox`](crate::Server::inbox) takes. It holds at most `capacity` messages (at least one).
///
/// heirloom starts no thread, and a service needs none. This is for the author who has one all the
/// same: a library that calls back from its own, a computation that cannot be
/// [cut into pieces](crate::Net::defer). The thread posts what it has to say, and the loop calls
/// [`on_mail`](crate::Mail::on_mail).
///
/// While a mailbox exists, which is as long as anybody could post to it or a message waits, a restart by fork is refused
/// with [`RestartError::Mailbox`](crate::RestartError::Mailbox): who posts is another thread, and a
/// fork would leave that behind. Restart by fork-exec, or say
/// [`or_fork_exec`](crate::Restart::or_fork_exec). The thread and its mailbox stay with the old process,
/// and so does what is on the way; it is received there until the process ends. A thread keeps nobody
/// alive: take a [hold](crate::Net::hold) for what must still arrive. The new program makes a mailbox and
/// a thread of its own. (So does a first process that becomes a
/// [supervisor](crate::Server::supervised): there the mailbox is closed at once.)
///
/// ```no_run
/// use heirloom::{Connection, Mail, Net, Origin, Restart, Result, Server, Service};
///
/// struct Thumbnails;
///
/// struct Done { picture: u64 }
///
/// impl Mail<Done> for Thumbnails {
///     fn on_mail(&mut self, net: &mut Net, done: Done) {
///         println!("picture {} is ready", done.picture);
///     }
/// }
/// # impl Service for Thumbnails {
/// #     type Session = ();
/// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
/// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
/// # }
///
/// fn main() -> Result {
///     let (mailbox, inbox) = heirloom::mailbox(64);
///     let server = Server::new(Thumbnails)?.listen("127.0.0.1:7777")?.inbox(inbox)?;
///     std::thread::spawn(move || {
///         if let Err(why) = mailbox.try_send(Done { picture: 1 }) {
///             eprintln!("{why}");
///         }
///     });
///     server.restart_on(libc::SIGHUP, Restart::fork().or_fork_exec()).run()
/// }
/// ```
pub fn mailbox<M: Send>(capacity: usize) -> (Mailbox<M>, Inbox<M>) {
    let queue = Queue {
        messages: VecDeque::new(),
        capacity: capacity.max(1),
        is_closed: false,
        waker: None,
    };
    let queue = Arc::new(Mutex::new(queue));
    (Mailbox { queue: Arc::clone(&queue) }, Inbox { queue })
}

/// The end of a [mailbox](mailbox()) that is posted to, from any thread. A clone posts to the same one.
///
/// ```
/// # use std::thread;
/// let (mailbox, inbox) = heirloom::mailbox(16);
/// let other = mailbox.clone();
/// let thread = thread::spawn(move || other.try_send("from a thread").is_ok());
/// assert!(mailbox.try_send("from here").is_ok());
/// assert!(thread.join().is_ok_and(|posted| posted));
/// ```
pub struct Mailbox<M> {
    queue: Arc<Mutex<Queue<M>>>,
}

/// The other end, for [`Server::inbox`](crate::Server::inbox). Dropping it closes the mailbox.
///
/// ```
/// # use heirloom::{Inbox, Mail, Result, Server};
/// fn open<S: Mail<String>>(server: Server<S>, inbox: Inbox<String>) -> Result<Server<S>> {
///     server.inbox(inbox)
/// }
/// ```
pub struct Inbox<M> {
    queue: Arc<Mutex<Queue<M>>>,
}

struct Queue<M> {
    messages: VecDeque<M>,
    capacity: usize,
    /// Nobody will take them any more.
    is_closed: bool,
    /// Wakes the loop. `None` until a server has the inbox; then its first turn looks.
    waker: Option<Arc<Waker>>,
}

/// Why a message was not posted; it comes back.
///
/// ```
/// use heirloom::TrySendError;
///
/// let (mailbox, inbox) = heirloom::mailbox(1);
/// assert!(mailbox.try_send(1).is_ok());
/// assert!(matches!(mailbox.try_send(2), Err(TrySendError::Full(2))));
/// drop(inbox); // as the end of the loop does
/// assert!(matches!(mailbox.try_send(3), Err(TrySendError::Closed(3))));
/// ```
pub enum TrySendError<M> {
    /// As many wait as the mailbox holds: the loop is behind. Whether to wait, to drop or to gather is for
    /// the thread to decide; nothing here blocks.
    Full(M),
    /// The process has left its loop.
    Closed(M),
}

impl<M> Mailbox<M> {
    /// Posts a message and wakes the loop. Whatever was posted is received, by the process that posted
    /// it, even if it is just leaving.
    ///
    /// # Errors
    /// [`TrySendError`] with the message, when the mailbox is full or the loop is over. It never blocks.
    pub fn try_send(&self, mail: M) -> Result<(), TrySendError<M>> {
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            return Err(TrySendError::Closed(mail));
        }
        if queue.messages.len() >= queue.capacity {
            return Err(TrySendError::Full(mail));
        }
        queue.messages.push_back(mail);
        // Where there was one before, the loop knows.
        if queue.messages.len() == 1
            && let Some(waker) = &queue.waker
            && let Err(e) = waker.wake()
        {
            log::error!(target: TASKS, "mailbox: the loop was not woken: {e}");
        }
        Ok(())
    }
}

impl<M> Inbox<M> {
    /// From here on the loop of `net` is woken.
    pub(crate) fn attach(&self, waker: Option<Arc<Waker>>) {
        lock(&self.queue).waker = waker;
    }

    pub(crate) fn take(&self, count: usize) -> Vec<M> {
        let messages = &mut lock(&self.queue).messages;
        let count = count.min(messages.len());
        messages.drain(..count).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.queue).messages.is_empty()
    }

    /// Whether a message is there or may come.
    pub(crate) fn exists(&self) -> bool {
        Arc::strong_count(&self.queue) > 1 || !self.is_empty()
    }

    /// Takes no more, and answers what was posted before.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        std::mem::take(&mut queue.messages)
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        self.close();
    }
}

/// No code of an author runs under this lock, so a poisoned queue is a good one.
fn lock<M>(queue: &Mutex<Queue<M>>) -> MutexGuard<'_, Queue<M>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Mailbox<M> {
        Mailbox { queue: Arc::clone(&self.queue) }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("messages", &lock(&self.queue).messages.len()).finish()
    }
}

impl<M> fmt::Debug for Inbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("messages", &lock(&self.queue).messages.len()).finish()
    }
}

impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> fmt::Display for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "mailbox: full, the loop is behind",
            TrySendError::Closed(_) => "mailbox: closed, the process has left its loop",
        })
    }
}

impl<M> std::error::Error for TrySendError<M> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_posted_comes_out_in_order_and_no_more_than_fits() {
        let (mailbox, inbox) = mailbox(2);
        assert!(mailbox.try_send(1).is_ok() && mailbox.try_send(2).is_ok());
        assert!(matches!(mailbox.try_send(3), Err(TrySendError::Full(3))));
        assert_eq!(inbox.take(1), [1]);
        assert!(mailbox.try_send(4).is_ok());
        assert_eq!(inbox.take(9), [2, 4]);
    }

    #[test]
    fn a_closed_mailbox_gives_messages_back_and_forgets_none() {
        let (mailbox, inbox) = mailbox(2);
        assert!(mailbox.try_send(1).is_ok());
        assert_eq!(inbox.close(), [1]);
        assert!(matches!(mailbox.try_send(2), Err(TrySendError::Closed(2))));
    }

    #[test]
    fn it_exists_while_somebody_could_post_or_a_message_waits() {
        let (mailbox, inbox) = mailbox(2);
        let other = mailbox.clone();
        drop(mailbox);
        assert!(inbox.exists());
        assert!(other.try_send(1).is_ok());
        drop(other);
        assert!(inbox.exists());
        inbox.take(1);
        assert!(!inbox.exists());
    }
}

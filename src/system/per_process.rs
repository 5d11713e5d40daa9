//! A value that belongs to the process that made it: in a forked child it is forgotten, and made anew when it is
//! needed. Knows no restart; `noted` closes what the child must not keep.

use std::{cell::RefCell, fmt, mem, os::fd::RawFd, rc::Rc};

use super::noted::Noted;
use crate::error::Result;

/// A value that belongs to its process, such as a database client: each process has its own.
///
/// `fork(2)` gives the child a copy of the client and a second descriptor of its socket. Then two processes talk
/// on one connection: each reads answers to what the other has asked, and who drops its client says goodbye for
/// both. With this around it:
///
/// - the value is made at the first use, by the closure that [`new`](Self::new) is given (so is the one of
///   [`LazyCell`](std::cell::LazyCell));
/// - in a forked child it is **forgotten**, never dropped, since a destructor speaks. The descriptors that its making
///   has opened are closed there by number before any other code runs. `close(2)` of one of two
///   descriptors sends nothing, so the parent and its peer notice nothing, and the peer sees the end when the parent
///   ends it. The next use in the child makes a new one;
/// - in the parent nothing changes.
///
/// ```
/// use heirloom::{Connection, Origin, PerProcess, Result, Service};
/// use std::{io::{Read, Write}, net::TcpStream};
///
/// /// Asks somebody else, over a connection of its own, and blocks for the answer.
/// struct Proxy {
///     upstream: PerProcess<TcpStream>,
/// }
///
/// impl Service for Proxy {
///     type Session = ();
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
///         Ok(())
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
///         let upstream = self.upstream.get()?; // connects, if this process has not yet
///         upstream.write_all(&input[..1])?;
///         let mut answer = [0];
///         upstream.read_exact(&mut answer)?;
///         conn.send(&answer);
///         Ok(1)
///     }
/// }
///
/// let proxy = Proxy { upstream: PerProcess::new(|| Ok(TcpStream::connect("127.0.0.1:6379")?)) };
/// ```
///
/// # What it is for
///
/// Clients and sessions over sockets (PostgreSQL, MySQL, Redis, HTTP, also with TLS), and what the kernel queues:
/// timerfd, inotify, eventfd, pipes, io_uring.
///
/// **Not for what shares a file**, by locks or by memory that is mapped: SQLite, LMDB, redb. What was open at the fork is
/// harmful there even if nobody touches it. Close it in [`before_fork`](crate::Service::before_fork), where
/// [`take`](Self::take) gives it out, and let both processes open it anew:
///
/// ```
/// # use heirloom::{Net, PerProcess, Result};
/// # struct Database;
/// # impl Database { fn close(self) -> Result { Ok(()) } }
/// # struct Ledger { database: PerProcess<Database> }
/// # impl Ledger {
/// fn before_fork(&mut self, _net: &mut Net) -> Result {
///     self.database.take().map_or(Ok(()), Database::close) // and `get` opens it, in either process
/// }
/// # }
/// ```
///
/// Nor for what has threads: with a second one there is [no fork](crate::RestartError::Threads). A runtime within a
/// client that waits for it in the calling thread, with its epoll set and its eventfd, is a part of the value like any other.
///
/// # Which descriptors
///
/// Those that are open after the closure and were not before, if somebody outside may wait for their end, or the kernel
/// queues something for them. Left alone is what a library may have opened for the whole program by the way: files
/// and devices (a log), and pipes and pairs of Unix sockets that this process has both ends of (the pair that tokio's
/// `signal` feature has for all runtimes). A connection that the program shares, to `/dev/log` say, is better there
/// before, and another thread should open nothing meanwhile.
///
/// A value that opens more later, such as a pool, an HTTP agent or a client that connects again, is used by
/// [`with`](Self::with), which looks again; or it [tells](Self::with_descriptors) which it has. One that was
/// not noted stays open in the child, where nobody uses it: the peer then sees no end before both processes have ended.
/// One whose number is something else's by the time of the fork is left alone: it has another inode (`fstat(2)`).
/// What the kernel gives no inode of its own (timerfd, eventfd, epoll, inotify) is only told apart by kind.
///
/// # What it costs
///
/// A use costs a `getpid(2)`, for forks that this library has not made. The making, and each `with`, look at all
/// descriptors twice: that took 13 us a look with ten of them, 1.6 ms with a thousand, 30 ms with ten thousand (one
/// machine, a virtual one). Where there are many connections, and for each question, tell
/// [which they are](Self::with_descriptors) instead.
///
/// The memory of what is forgotten is never given back: in a chain of forks each generation that has used its own
/// leaves that behind. What the value has mapped stays mapped, too: the ring of an io_uring lives on in the child,
/// unless it was made with `MADV_DONTFORK`, as liburing does.
///
/// Nor need a process that ends run destructors, where another one has its heap. If the peer must hear a goodbye,
/// `take` the value and end it by hand.
///
/// [`Debug`](fmt::Debug) tells whether there is one, and not which.
pub struct PerProcess<T, F = fn() -> Result<T>> {
    make: F,
    descriptors: Option<fn(&T) -> Vec<RawFd>>,
    made: Option<Made<T>>,
}

/// It belongs to the process that has made it, which may be another one.
struct Made<T> {
    /// `None` only while it is given out.
    value: Option<T>,
    noted: Rc<RefCell<Noted>>,
}

impl<T, F> PerProcess<T, F> {
    /// One that is still to be made, by `make`, whose error may be of any type. Calls nothing.
    ///
    /// A function, or a closure that captures nothing, makes a `PerProcess<T>`. One that captures has a type of its own,
    /// which is put into a box to be a field's:
    ///
    /// ```
    /// use heirloom::PerProcess;
    /// use std::{io, net::TcpStream};
    ///
    /// struct Proxy {
    ///     upstream: PerProcess<TcpStream, Box<dyn FnMut() -> io::Result<TcpStream>>>,
    /// }
    ///
    /// fn to(address: String) -> Proxy {
    ///     Proxy { upstream: PerProcess::new(Box::new(move || TcpStream::connect(&address))) }
    /// }
    /// assert!(to("127.0.0.1:1".to_owned()).upstream.get().is_err());
    /// ```
    pub const fn new(make: F) -> PerProcess<T, F> {
        PerProcess { make, descriptors: None, made: None }
    }

    /// The same, where the value's descriptors are those that `of` says, and no others: for a value with files, for a
    /// making that opens what is not the value's, or to spare the look at all that are open. It is asked after the making, and at each
    /// use; for those of [`with`](Self::with) again at the end.
    ///
    /// ```
    /// use heirloom::PerProcess;
    /// use std::{net::TcpStream, os::fd::AsRawFd};
    ///
    /// let upstream: PerProcess<TcpStream> = PerProcess::with_descriptors(
    ///     || Ok(TcpStream::connect("127.0.0.1:6379")?),
    ///     |stream| vec![stream.as_raw_fd()],
    /// );
    /// ```
    pub const fn with_descriptors(make: F, of: fn(&T) -> Vec<RawFd>) -> PerProcess<T, F> {
        PerProcess { make, descriptors: Some(of), made: None }
    }

    /// The value of this process, if it has made one.
    pub fn get_made(&mut self) -> Option<&mut T> {
        let (made, of) = (self.made.as_mut().filter(|made| made.is_ours())?, self.descriptors);
        made.look_again(of);
        made.value.as_mut()
    }

    /// Gives the value of this process out, to be closed, say; `None` if it has made none. The next use makes
    /// another one. The process owns what it gets here like any other value: a fork copies it.
    pub fn take(&mut self) -> Option<T> {
        let mut made = self.made.take()?;
        if made.is_ours() { made.value.take() } else { None }
    }
}

impl<T, E, F: FnMut() -> std::result::Result<T, E>> PerProcess<T, F> {
    /// The value of this process; makes it if there is none yet, or if it is another process's.
    ///
    /// # Errors
    /// What the closure says. The next call tries again.
    pub fn get(&mut self) -> std::result::Result<&mut T, E> {
        Ok(self.get_with_notes()?.0)
    }

    /// Uses the value of this process, and notes the descriptors that are opened meanwhile as the value's. For one that
    /// opens more than it did when it was made: a pool, a client that connects again.
    ///
    /// # Errors
    /// What the closure that makes it says.
    ///
    /// ```
    /// use heirloom::PerProcess;
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let upstream = TcpListener::bind("127.0.0.1:0")?;
    /// let address = upstream.local_addr()?;
    /// let mut pool: PerProcess<Vec<TcpStream>> = PerProcess::new(|| Ok(Vec::new()));
    /// let added = pool.with(|pool| TcpStream::connect(address).map(|stream| pool.push(stream)))?;
    /// assert!(added.is_ok() && pool.get()?.len() == 1);
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn with<R>(&mut self, use_it: impl FnOnce(&mut T) -> R) -> std::result::Result<R, E> {
        let of = self.descriptors;
        let (value, noted) = self.get_with_notes()?;
        let before = of.is_none().then(|| noted.borrow_mut().before());
        let result = use_it(value);
        match (before, of) {
            (Some(before), _) => noted.borrow_mut().note_since(&before),
            (None, Some(of)) => noted.borrow_mut().replace(of(value)),
            (None, None) => {}
        }
        Ok(result)
    }

    fn get_with_notes(&mut self) -> std::result::Result<(&mut T, &RefCell<Noted>), E> {
        if !self.made.as_ref().is_some_and(Made::is_ours) {
            self.made = None; // which forgets another process's
            let noted = Noted::new();
            let before = self.descriptors.is_none().then(|| noted.borrow_mut().before());
            let value = (self.make)()?;
            if let Some(before) = before {
                noted.borrow_mut().note_since(&before);
            }
            self.made = Some(Made { value: Some(value), noted });
        }
        let Some(Made { value: Some(value), noted }) = &mut self.made else {
            unreachable!("it was made above");
        };
        if let Some(of) = self.descriptors {
            noted.borrow_mut().replace(of(value));
        }
        Ok((value, noted))
    }
}

impl<T> Made<T> {
    fn is_ours(&self) -> bool {
        self.noted.borrow().is_ours()
    }

    fn look_again(&self, of: Option<fn(&T) -> Vec<RawFd>>) {
        if let (Some(of), Some(value)) = (of, &self.value) {
            self.noted.borrow_mut().replace(of(value));
        }
    }
}

impl<T> Drop for Made<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            mem::forget(self.value.take());
            self.noted.borrow_mut().leave(); // for a fork that this library has not made
        }
    }
}

impl<T, F> fmt::Debug for PerProcess<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_made = self.made.as_ref().is_some_and(Made::is_ours);
        f.debug_struct("PerProcess").field("is_made", &is_made).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    use super::*;

    /// Says goodbye when it is dropped.
    struct Polite(TcpStream);

    impl Drop for Polite {
        fn drop(&mut self) {
            self.0.write_all(b"goodbye").unwrap();
        }
    }

    fn upstream() -> (TcpListener, PerProcess<Polite, impl FnMut() -> Result<Polite>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let make = move || Ok(Polite(TcpStream::connect(address)?));
        (listener, PerProcess::with_descriptors(make, |polite| vec![polite.0.as_raw_fd()]))
    }

    fn heard(listener: &TcpListener) -> String {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    }

    /// As in a child that this library has not made: nobody has closed anything yet.
    fn fork(value: &PerProcess<Polite, impl FnMut() -> Result<Polite>>) {
        value.made.as_ref().unwrap().noted.borrow_mut().process = 0;
    }

    #[test]
    fn it_is_made_once_and_dropped_by_its_own_process() {
        let (listener, mut value) = upstream();
        assert!(value.get_made().is_none() && value.take().is_none());
        let number = value.get().unwrap().0.as_raw_fd();
        assert_eq!(value.get().unwrap().0.as_raw_fd(), number);
        assert_eq!(value.with(|polite| polite.0.as_raw_fd()).unwrap(), number);
        assert!(format!("{value:?}").contains("is_made: true"));
        drop(value);
        assert_eq!(heard(&listener), "goodbye");
    }

    #[test]
    fn another_process_forgets_it_and_closes_what_it_had() {
        let (listener, mut value) = upstream();
        value.get().unwrap().0.write_all(b"one").unwrap();
        fork(&value);
        assert!(value.get_made().is_none() && format!("{value:?}").contains("is_made: false"));
        value.get().unwrap().0.write_all(b"two").unwrap();
        assert_eq!(heard(&listener), "one"); // and the end
        fork(&value);
        assert!(value.take().is_none());
        assert_eq!(heard(&listener), "two");
        value.get().unwrap();
        fork(&value);
        drop(value);
        assert_eq!(heard(&listener), "");
    }

    #[test]
    fn what_was_taken_is_its_owners() {
        let (listener, mut value) = upstream();
        value.get().unwrap();
        let polite = value.take().unwrap();
        assert!(value.get_made().is_none());
        drop(value);
        drop(polite);
        assert_eq!(heard(&listener), "goodbye");
    }

    #[test]
    fn a_making_that_fails_is_tried_again() {
        let mut tries = 0;
        let mut value = PerProcess::new(|| {
            tries += 1;
            if tries == 1 { Err("not yet") } else { Ok(tries) }
        });
        assert_eq!(value.get(), Err("not yet"));
        assert_eq!(value.get(), Ok(&mut 2));
    }
}

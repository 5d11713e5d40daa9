//! What comes from outside and is no peer: signals, and descriptors that are ready.

use super::Harness;
use crate::{
    net::{Readiness, Watch},
    service::Service,
};

impl<S: Service> Harness<S> {
    /// A signal comes that the service has [claimed](crate::Server::signal). It is told when it serves; until
    /// then several of one kind are one, as in the kernel (but for real-time signals).
    ///
    /// ```
    /// # use heirloom::{Connection, Net, Origin, Result, Service, testing::Harness};
    /// # #[derive(Default)]
    /// # struct Reopener { opened: u32 }
    /// # impl Service for Reopener {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
    /// #     fn on_signal(&mut self, _net: &mut Net, signal: i32) {
    /// #         self.opened += u32::from(signal == libc::SIGUSR1);
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Reopener::default());
    /// harness.signal(libc::SIGUSR1);
    /// assert_eq!(harness.service().opened, 1);
    /// ```
    pub fn signal(&mut self, signal: i32) {
        let waiting = &mut self.turn.net.staged.signals;
        if signal >= libc::SIGRTMIN() || !waiting.contains(&signal) {
            waiting.push_back(signal);
        }
        self.turn.succession.own_signals_wait = true;
        self.settle();
    }

    /// A descriptor that is [watched](crate::Net::watch) under `key` is ready. Nobody is told where nothing is
    /// watched under it, or where nobody has asked for this. The descriptor itself is not looked at: what a
    /// callback reads from it is the test's business.
    ///
    /// ```
    /// # use heirloom::{Connection, Interest, Net, Origin, Readiness, Result, Service, Start, Watch, testing::Harness};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// # struct Reader { wire: UnixStream, heard: Vec<u8> }
    /// # impl Service for Reader {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
    /// #     fn on_start(&mut self, net: &mut Net, _start: Start) {
    /// #         net.watch(&self.wire, Interest::READABLE, Watch(1)).expect("a socket");
    /// #     }
    /// #     fn on_ready(&mut self, _net: &mut Net, _key: Watch, _ready: Readiness) {
    /// #         let mut bytes = [0; 16];
    /// #         let count = self.wire.read(&mut bytes).expect("it is ready");
    /// #         self.heard.extend(&bytes[..count]);
    /// #     }
    /// # }
    /// let (wire, mut device) = UnixStream::pair()?;
    /// let mut harness = Harness::new(Reader { wire, heard: Vec::new() }); // watches it as `Watch(1)`
    /// device.write_all(b"21.5 C")?;
    /// harness.ready(Watch(1), Readiness::READABLE);
    /// assert_eq!(harness.service().heard, b"21.5 C");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ready(&mut self, key: Watch, ready: Readiness) {
        self.turn.net.stage_ready(key, ready);
        self.settle();
    }
}

//! Clients that are held through a restart, with TLS or without.

use std::{
    cell::Cell,
    fs,
    io::{self, BufRead, Write},
};

use heirloom::tls::rustls::version::{TLS12, TLS13};

use super::{
    Client, Server, Setup,
    sealed::Sealed,
    tls::{Pki, TlsClient},
};

/// With certificates, where it is to be with TLS.
pub struct Connecting {
    pki: Option<Pki>,
    sealed: Sealed,
    connected: Cell<usize>,
}

impl Connecting {
    pub fn new(with_tls: bool) -> Connecting {
        let pki = with_tls.then(|| {
            let pki = Pki::new();
            pki.make("localhost");
            pki.tell(&format!("certificate {}", pki.pair("localhost")));
            fs::write(pki.path("listen"), "127.0.0.1:0 tls").expect("a file");
            pki
        });
        Connecting { pki, sealed: Sealed::new(), connected: Cell::new(0) }
    }

    pub fn adjust(&self, setup: Setup) -> Setup {
        let Some(pki) = &self.pki else { return setup };
        let setup = self.sealed.adjust(setup);
        setup.env("LAB_LISTEN_ON", pki.path("listen")).env("LAB_TLS", pki.path("tls"))
    }

    /// Whatever became of the processes, no two records were sealed by one key and nonce. `true` where several have
    /// sealed by one key, so that they could have.
    pub fn check(&self) -> bool {
        self.sealed.check() > 1
    }

    pub fn connect(&self, lab: &Server) -> Held {
        let Some(pki) = &self.pki else { return Held::Plain(lab.connect()) };
        let ready = lab.wait_line("ready: generation 0");
        let address = ready.trim_end().rsplit(", ").next().expect("two addresses").to_owned();
        self.connected.set(self.connected.get() + 1);
        let version = if self.connected.get().is_multiple_of(2) { &TLS13 } else { &TLS12 };
        let client = TlsClient::connect(&address, pki.client(&[version]).into(), "localhost");
        Held::Tls(Box::new(client), Vec::new())
    }
}

pub enum Held {
    Plain(Client),
    /// And what it has still to send of a record.
    Tls(Box<TlsClient>, Vec<u8>),
}

impl Held {
    pub fn begin(&mut self) {
        match self {
            Held::Plain(client) => drop(client.who()),
            Held::Tls(client, rest) => {
                client.ask("who");
                let mut sealed = client.seal("echo through\n");
                *rest = sealed.split_off(sealed.len() / 2);
                client.wire().write_all(&sealed).expect("the server takes it");
            }
        }
    }

    /// It is answered, unless it may be `cut`. With TLS what it hears is right in any case, as far as it goes.
    pub fn end(self, cut: bool) {
        match self {
            Held::Plain(mut client) if !cut => drop(client.who()),
            Held::Plain(_) => {}
            Held::Tls(mut client, rest) => match through(&mut client, &rest) {
                Ok(()) => {}
                Err(e) if cut && e.kind() != io::ErrorKind::InvalidData => {}
                Err(e) => panic!("a session with TLS is broken: {e}"),
            },
        }
    }
}

fn through(client: &mut TlsClient, rest: &[u8]) -> io::Result<()> {
    client.wire().write_all(rest)?;
    for round in 0..20 {
        let mut line = String::new();
        if client.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert_eq!(line, if round == 0 { "through\n".to_owned() } else { format!("{round}\n") });
        let stream = client.stream.get_mut();
        stream.write_all(format!("echo {}\n", round + 1).as_bytes())?;
    }
    Ok(())
}

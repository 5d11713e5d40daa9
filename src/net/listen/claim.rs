//! Which sockets a name stands for: those that were passed on and are bound where it says, however it
//! is spelled, and new ones for the rest.
//!
//! **A wildcard and the addresses under it.** `0.0.0.0:80` cannot be bound while another socket listens on
//! `127.0.0.1:80`, and the other way round. To give the old one up first would refuse its clients, and after
//! it would leave nobody for the rest until then. Linux lets both listen if both say `SO_REUSEPORT` and
//! belong to one user, and gives a client to the one whose address is closer. So who takes over
//! `127.0.0.1:80` and asks for `0.0.0.0:80` has both sockets under that name, for good; who asks for less
//! than was passed on has its own socket beside the wide one, which goes at the commit. A socket that is
//! bound in this way does not listen before the new program serves: until then the clients are the
//! old one's.
//!
//! Datagrams have no queue of clients that would go to either: a process that still answers its flows by
//! the narrow socket would be given what is the wide one's. So that is refused, and says what helps.

use std::io::{self, ErrorKind};

use nix::sys::socket::{getsockopt, sockopt};

use super::{
    bind::share,
    kind::kind_of,
    listener::{Listener, is_activated},
    permissions::SocketPermissions,
    setup::check_options,
    spec::ListenOptions,
};
use crate::{
    error::{Error, Result},
    log_target::NET,
    net::address::Address,
};

/// A port that the system has chosen for the first address may be taken at the next one. Then it chooses
/// another.
const PORTS_TRIED: usize = 16;

/// What a name asks for.
struct Wanted<'a> {
    name: &'a str,
    kind: &'static str,
    addresses: Vec<Address>,
    permissions: SocketPermissions,
    options: &'a ListenOptions,
}

impl<'a> Wanted<'a> {
    fn read(name: &'a str, options: &'a ListenOptions) -> Result<Wanted<'a>> {
        let kind = kind_of(name);
        let (text, said) = SocketPermissions::split(&name[kind.len()..])?;
        let addresses = Address::resolve("listen on", text)?;
        let is_path = matches!(addresses[..], [Address::Unix(_)]);
        let permissions = match kind == super::CONTROL && is_path && said.is_empty() {
            true => SocketPermissions::private(),
            false => said,
        };
        if !permissions.is_empty() && !is_path {
            let why = "only the path of a Unix socket has a mode, an owner and a group";
            return Err(Error::invalid("listen on", name, why));
        }
        Ok(Wanted { name, kind, addresses, permissions, options })
    }

    /// Whether it is for datagrams: one socket is as many as there is an id for.
    fn is_single(&self) -> bool {
        self.kind == super::DATAGRAMS
    }

    /// Whether a socket is of the kind that is asked for.
    fn fits(&self, listener: &Listener) -> bool {
        self.kind == kind_of(&listener.name)
    }

    /// By name, and then by where it is bound.
    fn claim(&self, address: &Address, passed_on: &mut Vec<Listener>) -> Option<Listener> {
        let by_name = |listener: &Listener| {
            let elsewhere = match &listener.address {
                // Of a name that stands for several addresses, or for another one than it did.
                Address::Tcp(bound) => !address.has_host_of(bound),
                _ => false,
            };
            listener.name == self.name && !elsewhere
        };
        let by_address = |it: &Listener| self.fits(it) && address.is_of(&it.address);
        let found = passed_on.iter().position(by_name);
        let found = found.or_else(|| passed_on.iter().position(by_address))?;
        let mut listener = passed_on.remove(found);
        if !is_activated(&listener.name) {
            listener.rename(self.name);
        }
        Some(listener)
    }

    /// What was passed on and is in the way of a new socket at `address`, at one address of the two or at
    /// all.
    fn in_the_way<'l>(&self, address: &Address, passed_on: &'l [Listener]) -> Vec<&'l Listener> {
        let overlaps =
            |other: &Address| address.is_wildcard_over(other) || other.is_wildcard_over(address);
        // The service manager goes on to hold its own: nobody would accept from it.
        let fits = |other: &Listener| self.fits(other) && !is_activated(&other.name);
        passed_on.iter().filter(|it| fits(it) && overlaps(&it.address)).collect()
    }

    fn bind(&self, address: &Address, passed_on: &[Listener]) -> io::Result<Listener> {
        let in_the_way = self.in_the_way(address, passed_on);
        if let (true, Some(other)) = (self.is_single(), in_the_way.first()) {
            let why = format!(
                "the socket at {} was passed on and is in the way: one for datagrams cannot be replaced \
                 by a wider or a narrower one while the server runs; stop it and start it anew",
                other.address
            );
            return Err(io::Error::new(ErrorKind::AddrInUse, why));
        }
        in_the_way.iter().try_for_each(share)?;
        let beside = !in_the_way.is_empty();
        let bind =
            |beside| Listener::bind_at(self.name, address, &self.permissions, self.options, beside);
        if !self.options.among_workers || address.port().is_none() {
            return bind(beside);
        }
        // The first worker that asks for it finds out whether it is somebody else's, the others have theirs beside it.
        match bind(beside) {
            Err(e) if e.kind() == ErrorKind::AddrInUse => bind(true),
            Ok(first) => share(&first).map(|()| first),
            Err(e) => Err(e),
        }
    }

    /// Binds what was not passed on. An address that this machine does not have is left out, if there is
    /// another one.
    fn bind_all(
        &self,
        missing: &[Address],
        found: &mut Vec<Listener>,
        passed_on: &[Listener],
    ) -> std::result::Result<(), (Address, io::Error)> {
        let mut refused = Vec::new();
        for address in missing {
            let port = found.first().and_then(|first| first.address.port());
            let address = match (address, port) {
                (Address::Tcp(address), Some(port)) if address.port() == 0 => {
                    Address::Tcp((address.ip(), port).into())
                }
                _ => address.clone(),
            };
            match self.bind(&address, passed_on) {
                Ok(listener) => found.push(listener),
                Err(e) if is_no_address_here(&e) => refused.push((address, e)),
                Err(e) => return Err((address, e)),
            }
            if self.is_single() && !found.is_empty() {
                break;
            }
        }
        for (address, e) in refused {
            if found.is_empty() {
                return Err((address, e));
            }
            log::warn!(target: NET, "{}: {address} is left out: {e}", self.name);
        }
        Ok(())
    }

    /// The sockets that were passed on and whose clients would come to one of `found` if they were not there.
    fn narrower(&self, found: &[Listener], passed_on: &mut Vec<Listener>) -> Vec<Listener> {
        let is_under = |other: &Listener| {
            found.iter().any(|wide| {
                let v6_only = getsockopt(wide, sockopt::Ipv6V6Only).unwrap_or(false);
                let is_v4 = matches!(other.address, Address::Tcp(address) if address.is_ipv4());
                wide.address.is_wildcard_over(&other.address) && !(v6_only && is_v4)
            })
        };
        let fits = |other: &Listener| !is_activated(&other.name) && self.fits(other);
        passed_on.extract_if(.., |other| fits(other) && is_under(other)).collect()
    }
}

/// The name has an address of a network that is not there, as `::1` is where there is no IPv6.
fn is_no_address_here(e: &io::Error) -> bool {
    e.kind() == ErrorKind::AddrNotAvailable || e.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// Takes what `name` stands for out of `passed_on`, and binds the rest. `own` is what this program
/// has already.
///
/// # Errors
/// When the name makes no sense, or an address is in use.
pub(crate) fn obtain<'l>(
    name: &str,
    options: &ListenOptions,
    passed_on: &mut Vec<Listener>,
    own: impl Iterator<Item = &'l Listener>,
) -> Result<Vec<Listener>> {
    let wanted = Wanted::read(name, options);
    let mut found = Vec::new();
    let Ok(wanted) = wanted else {
        // Who is asked for names may be out of reach. What is open is open.
        found.extend(passed_on.extract_if(.., |it| it.name == name));
        found.iter_mut().try_for_each(|listener| listener.configure(name, options))?;
        return if found.is_empty() { Err(wanted.err().expect("no name")) } else { Ok(found) };
    };
    check_options(name, options, &wanted.addresses)?;
    let mut missing = Vec::new();
    for address in &wanted.addresses {
        match wanted.claim(address, passed_on) {
            Some(listener) => found.push(listener),
            None => missing.push(address.clone()),
        }
        if wanted.is_single() && !found.is_empty() {
            missing.clear();
            break;
        }
    }
    let claimed = found.len();
    let mut bound = wanted.bind_all(&missing, &mut found, passed_on);
    for _ in 1..PORTS_TRIED {
        let any_port = wanted.addresses[0].port() == Some(0);
        match &bound {
            Err((_, e)) if any_port && claimed == 0 && e.kind() == ErrorKind::AddrInUse => {
                found.clear();
                bound = wanted.bind_all(&missing, &mut found, passed_on);
            }
            _ => break,
        }
    }
    if let Err((address, e)) = bound {
        found.iter().for_each(Listener::withdraw);
        // The name means another machine by now, or one that is on its way here.
        let mut same: Vec<_> = passed_on.extract_if(.., |it| it.name == name).collect();
        if is_no_address_here(&e) && !same.is_empty() {
            same.iter_mut().try_for_each(|listener| listener.configure(name, options))?;
            return Ok(same);
        }
        return Err(explain(&wanted, &address, e, own, passed_on));
    }
    found.extend(wanted.narrower(&found, passed_on));
    for listener in &mut found {
        listener.permissions = wanted.permissions.clone();
        listener.take(options);
    }
    tell_of_one(&wanted, &found);
    Ok(found)
}

/// In use may mean: by this very program, or by what is to be passed on and is of another kind.
fn explain<'l>(
    wanted: &Wanted<'_>,
    address: &Address,
    e: io::Error,
    own: impl Iterator<Item = &'l Listener>,
    passed_on: &[Listener],
) -> Error {
    let overlaps = |bound: &Address| {
        address.is_of(bound) || address.is_wildcard_over(bound) || bound.is_wildcard_over(address)
    };
    let is_udp = |kind: &str, at: &Address| kind == super::DATAGRAMS && at.port().is_some();
    let same = |other: &&Listener| {
        let other_is_udp = is_udp(kind_of(&other.name), &other.address);
        is_udp(wanted.kind, address) == other_is_udp && overlaps(&other.address)
    };
    let why = match ({ own }.find(same), passed_on.iter().find(same)) {
        _ if e.kind() != ErrorKind::AddrInUse => None,
        (Some(other), _) => {
            Some(format!("this program has {} already, as {:?}", other.address, other.name))
        }
        (None, Some(other)) if !wanted.fits(other) => {
            Some(format!("{:?} was passed on, which is a socket of another kind", other.name))
        }
        _ => None,
    };
    match why {
        Some(why) => Error::invalid("listen on", wanted.name, why),
        None => Error::io("listen on", wanted.name, e),
    }
}

fn tell_of_one(wanted: &Wanted<'_>, found: &[Listener]) {
    let ([first, _, ..], [one]) = (&wanted.addresses[..], found) else { return };
    if wanted.is_single() {
        let (name, count) = (wanted.name, wanted.addresses.len());
        let one = &one.address;
        log::warn!(
            target: NET,
            "{name} has {count} addresses, {first} and others: {one} alone is bound, since datagrams have \
             one socket for each id"
        );
    }
}

impl Listener {
    /// Looks whether [`obtain`] could make sense of `name`, and binds nothing.
    pub fn check(name: &str, options: &ListenOptions) -> Result {
        let failed = |e| Error::io("listen on", name, e);
        let wanted = Wanted::read(name, options)?;
        check_options(name, options, &wanted.addresses)?;
        wanted.permissions.check().map_err(failed)?;
        let Some(Address::Unix(path)) = wanted.addresses.first() else { return Ok(()) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(std::path::Path::new("."));
        std::fs::metadata(parent).map(drop).map_err(failed)
    }
}

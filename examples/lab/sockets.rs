//! Sockets of which the kernel is told something: what the words for that are, and what the kernel has. Serves nothing.
//!
//! `LAB_LISTEN_ON=FILE`: it also listens on each line of it, an address and words, each program as it reads it by
//! then:
//!
//! - of connections, also behind `dial ADDRESS`: `keepalive=off`, `keepalive=60,10,3` (seconds, and how often),
//!   `user_timeout=` (milliseconds), `rcvbuf=`, `sndbuf=` (bytes), `dscp=`, `fastopen` (of a dial);
//! - of a listener: `backlog=`, `reuseport`, `v6only=0`, `defer=` (milliseconds), `fastopen=`, `proxy`,
//!   `proxy=10.0.0.0/8,::1`, `tls` (see `tls`).
#![allow(unsafe_code)] // descriptors by number, and options by theirs

use std::{
    env, fs,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    process,
    str::FromStr,
    time::Duration,
};

use heirloom::{Connection, KeepAlive, Listen, ProxyProtocol, Result, Server, SocketOptions};
use nix::sys::socket::{
    SockaddrStorage, getpeername, getsockname, getsockopt, sockopt::AcceptConn,
};

use crate::{Lab, requests::number, tls};

/// Listens as the file says by now; it ends the program if it cannot.
pub fn listen_on(mut server: Server<Lab>) -> Server<Lab> {
    let list = env::var("LAB_LISTEN_ON").ok().and_then(|path| fs::read_to_string(path).ok());
    for line in list.unwrap_or_default().lines() {
        let listening = listen(line).and_then(|listen| server.listen_on(listen));
        server = listening.unwrap_or_else(|e| {
            eprintln!("lab: {e}");
            process::exit(2)
        });
    }
    server
}

fn listen(line: &str) -> Result<Listen> {
    let mut words = line.split_whitespace();
    let mut listen = Listen::new(words.next().unwrap_or_default());
    let mut of_connections = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        listen = match key {
            "backlog" => listen.backlog(number(value)?),
            "reuseport" => listen.reuse_port(),
            "v6only" => listen.only_v6(value != "0"),
            "defer" => listen.defer_accept(millis(value)?),
            "fastopen" if !value.is_empty() => listen.fast_open(number(value)?),
            "proxy" => {
                let networks = value.split(',').filter(|network| !network.is_empty());
                listen.proxy_protocol(ProxyProtocol::new().from(networks))
            }
            "tls" => tls::listen(listen)?,
            _ => {
                of_connections.push(word);
                listen
            }
        };
    }
    Ok(listen.options(options(of_connections.into_iter())?))
}

/// What the words say of one connection.
pub fn options<'w>(words: impl Iterator<Item = &'w str>) -> Result<SocketOptions> {
    let mut options = SocketOptions::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        options = match key {
            "keepalive" => options.keep_alive(keep_alive(value)?),
            "user_timeout" => options.user_timeout(millis(value)?),
            "rcvbuf" => options.receive_buffer(number(value)?),
            "sndbuf" => options.send_buffer(number(value)?),
            "dscp" => options.dscp(number(value)?),
            "fastopen" => options.fast_open(),
            _ => return Err(format!("no such option: {word}").into()),
        };
    }
    Ok(options)
}

fn keep_alive(value: &str) -> Result<KeepAlive> {
    if value == "off" {
        return Ok(KeepAlive::off());
    }
    let mut numbers = value.split(',').map(number::<u64>);
    let mut next = || numbers.next().unwrap_or(Err("keepalive=IDLE,INTERVAL,COUNT".into()));
    let seconds = Duration::from_secs;
    let how = KeepAlive::new().idle(seconds(next()?)).interval(seconds(next()?));
    Ok(how.count(next()? as u32))
}

fn millis(text: &str) -> Result<Duration> {
    number(text).map(Duration::from_millis)
}

/// Requests about sockets; `None` for any other.
///
/// `sockopt listening|accepted|dialed ADDRESS LEVEL NUMBER [OFFSET]` tells what the kernel has: of our sockets
/// that are bound there and listen, or do not; of those that are connected to there. `greet TEXT` sends a line to
/// all others.
pub fn handle(conn: &mut Connection<'_>, verb: &str, rest: &str) -> Result<Option<String>> {
    Ok(Some(match verb {
        "local" => conn.local().map_or("none".to_owned(), |address| address.to_string()),
        "via" => conn.via().map_or("none".to_owned(), |via| {
            let id = via.unique_id().map(String::from_utf8_lossy);
            let destination = via.destination().map(|address| address.to_string());
            format!("{} {destination:?} {:?} {id:?}", via.proxy(), via.authority())
        }),
        "greet" => {
            let own = conn.id();
            for id in conn.net.ids().into_iter().filter(|&id| id != own) {
                conn.other(id).into_iter().for_each(|mut other| crate::say(&mut other, rest));
            }
            "ok".to_owned()
        }
        "sockopt" => {
            let words: Vec<_> = rest.split(' ').collect();
            let [which, address, level, option, offset @ ..] = &words[..] else {
                return Err("sockopt WHICH ADDRESS LEVEL NUMBER [OFFSET]".into());
            };
            let offset = offset.first().map_or(Ok(0), |offset| number(offset))?;
            let (level, option) = (number(level)?, number(option)?);
            let found = sockets(which, address)?.into_iter();
            let values = found.map(|fd| ask(fd, level, option, offset));
            values.collect::<Result<Vec<_>>>()?.join(",")
        }
        _ => return Ok(None),
    }))
}

/// Our sockets of a kind.
fn sockets(which: &str, address: &str) -> Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let fd = RawFd::from_str(&entry?.file_name().to_string_lossy()).unwrap_or(-1);
        let name = |name: nix::Result<SockaddrStorage>| name.is_ok_and(|it| is_at(&it, address));
        // SAFETY: it was open a moment ago, nothing here closes it meanwhile, and it is only asked.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let listens = || getsockopt(&borrowed, AcceptConn).unwrap_or(false);
        let is_meant = match which {
            "listening" => name(getsockname(fd)) && listens(),
            "accepted" => name(getsockname(fd)) && !listens(),
            "dialed" => name(getpeername(fd)),
            _ => return Err("sockopt listening|accepted|dialed".into()),
        };
        if is_meant {
            found.push(fd);
        }
    }
    Ok(found)
}

fn is_at(name: &SockaddrStorage, address: &str) -> bool {
    match name.as_unix_addr() {
        Some(unix) => unix.path().is_some_and(|path| path.to_str() == Some(address)),
        None => name.to_string() == address,
    }
}

/// Four bytes of what the kernel says of an option.
fn ask(fd: RawFd, level: i32, option: i32, offset: usize) -> Result<String> {
    let mut value = [0u8; 128];
    let mut length = value.len() as libc::socklen_t;
    let place = value.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes to `value`, which has them, and both live through the call.
    let asked = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, place, &raw mut length) };
    if asked != 0 {
        return Ok(std::io::Error::last_os_error().to_string());
    }
    let bytes = value.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
    Ok(i32::from_ne_bytes(bytes.ok_or("an offset within")?).to_string())
}

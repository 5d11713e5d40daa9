//! Visits with TLS: connect, shake hands, ask once, take the reply, leave. One after another, since it is the server's core
//! that is looked at: what a handshake costs is what a visit costs beyond one without TLS.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_rustls::rustls::ClientConfig;

use crate::{common::process::Running, load::Outcome, secured::Asked, work::Work};

/// A reply that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest that a whole reply takes to come, the first time, when nobody knows how long it is.
const FIRST: Duration = Duration::from_millis(200);

/// How visitors shake hands.
#[derive(Clone)]
pub struct Manner {
    /// `None`: not at all.
    pub config: Option<Arc<ClientConfig>>,
    /// By a ticket of the visit before.
    pub resumes: bool,
}

/// Visits for so long.
///
/// # Errors
/// When there is no reply, or hands are shaken in another manner.
pub fn visits(
    server: &Running,
    work: Work,
    manner: &Manner,
    time: Duration,
) -> io::Result<Outcome> {
    let request = work.request(0, 0);
    let whole = match &manner.config {
        Some(config) => {
            let first = Asked::at(&server.address, config, &request, usize::MAX, FIRST)?;
            let length = first.reply.len();
            first.leave()?;
            length
        }
        None => server.ask(&request)?.len(),
    };
    let (begun, cpu) = (Instant::now(), server.cpu_time());
    let mut outcome = Outcome::default();
    while begun.elapsed() < time {
        let reply = match &manner.config {
            Some(config) => {
                let asked = Asked::at(&server.address, config, &request, whole, PATIENCE)?;
                if asked.is_resumed() != manner.resumes {
                    return Err(io::Error::other("hands were shaken in another manner"));
                }
                let reply = asked.reply.clone();
                asked.leave()?;
                reply
            }
            None => plain(&server.address, &request, whole)?,
        };
        outcome.requests += 1;
        outcome.broken += u64::from(work.check_sample(&reply).is_none());
    }
    outcome.time = begun.elapsed();
    outcome.cpu = server.cpu_time().saturating_sub(cpu);
    Ok(outcome)
}

fn plain(address: &str, request: &[u8], whole: usize) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut reply = vec![0; whole];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

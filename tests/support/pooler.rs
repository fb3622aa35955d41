//! A pooler that hands out transactions: every client has two sessions of the server, and each
//! transaction of its goes to the other one than the last.
//!
//! ```ignore
//! let pooler = Pooler::start(&server);
//! run(pgstow().args(["dump", &pooler.url(&db.url())]));
//! ```

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::server::Server;

/// A running pooler; it listens until the tests end.
pub struct Pooler {
    port: u16,
    server: u16,
    switches: Arc<AtomicUsize>,
}

/// What a client is doing.
#[derive(Default)]
struct Turn {
    /// Which session gets what it says.
    at: usize,
    /// Answers that are still to come.
    waiting: usize,
    /// It has begun to say something, and not asked for an answer yet.
    speaking: bool,
}

impl Pooler {
    #[track_caller]
    pub fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pooler = Self {
            port: listener.local_addr().unwrap().port(),
            server: server.port(),
            switches: Arc::default(),
        };
        let (upstream, switches) = (server.port(), Arc::clone(&pooler.switches));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let switches = Arc::clone(&switches);
                thread::spawn(move || {
                    // Whoever breaks off sees the other end closed.
                    drop(serve(client, upstream, &switches));
                });
            }
        });
        pooler
    }

    /// A URL of the server, by way of the pooler.
    pub fn url(&self, direct: &str) -> String {
        let server = format!("@127.0.0.1:{}/", self.server);
        assert!(direct.contains(&server), "{direct}");
        direct.replacen(&server, &format!("@127.0.0.1:{}/", self.port), 1)
    }

    /// How often a transaction went to another session than the one before it.
    pub fn switches(&self) -> usize {
        self.switches.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, upstream: u16, switches: &Arc<AtomicUsize>) -> io::Result<()> {
    let startup = loop {
        let startup = body(&mut client)?;
        match startup.get(..4) {
            // TLS or GSSAPI is asked for.
            Some([4, 210, 22, 47 | 48]) => client.write_all(b"N")?,
            _ => break startup,
        }
    };
    let mut servers = Vec::new();
    for at in 0..2 {
        let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
        server.set_nodelay(true)?;
        server.write_all(&u32::try_from(startup.len() + 4).unwrap().to_be_bytes())?;
        server.write_all(&startup)?;
        // The servers of tests trust.
        loop {
            let said = message(&mut server)?;
            if at == 0 {
                client.write_all(&said)?;
            }
            if said[0] == b'Z' {
                break;
            }
        }
        servers.push(server);
    }
    client.set_nodelay(true)?;
    let turn = Arc::new(Mutex::new(Turn::default()));
    for server in &servers {
        let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
        let (turn, switches) = (Arc::clone(&turn), Arc::clone(switches));
        thread::spawn(move || {
            while let Ok(said) = message(&mut from) {
                if said[0] == b'Z' {
                    let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                    turn.waiting -= 1;
                    if said[5] == b'I' && turn.waiting == 0 && !turn.speaking {
                        turn.at = 1 - turn.at;
                        switches.fetch_add(1, Ordering::SeqCst);
                    }
                }
                if to.write_all(&said).is_err() {
                    break;
                }
            }
        });
    }
    while let Ok(said) = message(&mut client) {
        if said[0] == b'X' {
            break;
        }
        let at = {
            let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let asks = matches!(said[0], b'Q' | b'S');
            turn.waiting += usize::from(asks);
            turn.speaking = !asks;
            turn.at
        };
        servers[at].write_all(&said)?;
    }
    for end in servers.iter().chain([&client]) {
        drop(end.shutdown(std::net::Shutdown::Both));
    }
    Ok(())
}

/// What follows a length.
fn body(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    from.read_exact(&mut body)?;
    Ok(body)
}

/// A whole message: its kind, its length, what follows.
fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    let body = body(from)?;
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    Ok([&kind[..], &length, &body].concat())
}

//! A network between a client and a server that can be slow, stand still, or break.
//!
//! ```ignore
//! let proxy = Proxy::start(&server);                        // passes everything on
//! let proxy = Proxy::builder(&server)
//!     .delay(Duration::from_millis(10))                     // each way: a round trip takes twice that
//!     .faults(|n| match n {                                 // n: connections in order, from 0
//!         2 => vec![Fault { side: Side::ToClient, after: 1 << 20, harm: Harm::Cut }],
//!         _ => Vec::new(),
//!     })
//!     .start();
//! run(pgstow().args(["dump", &proxy.url(&db), "-f"]).arg(&file));
//! proxy.cut_all();
//! ```
//!
//! A cancel request is a connection as well, and counts as one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::database::Db;
use super::server::Server;

/// Bytes passed on at once.
const PIECE: usize = 64 << 10;

/// Pieces under way in one direction of a connection at most: 16 MiB, the network's own buffers.
const PIECES: usize = 256;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    ToServer,
    ToClient,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Both ends see it closed.
    Cut,
    /// Nothing passes this way for so long; then it goes on.
    Stall(Duration),
    /// Nothing passes this way for so long; then both ends see it closed.
    StallThenCut(Duration),
}

/// Harm to one connection, after exactly so many bytes have gone one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub side: Side,
    pub after: u64,
    pub harm: Harm,
}

/// Numbers that look random and are the same again for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        // A Weyl sequence, mixed by multiplications and shifts.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to before `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A fault of any kind within the first `bytes`; small numbers are as likely as large ones.
    pub fn fault(&mut self, bytes: u64) -> Fault {
        let side = if self.once_in(4) {
            Side::ToServer
        } else {
            Side::ToClient
        };
        let magnitude = self.below(u64::from(bytes.max(2).ilog2()) + 1);
        let after = self.below((2_u64 << magnitude).min(bytes));
        let time = Duration::from_millis(self.below(200));
        let harm = match self.below(4) {
            0 => Harm::Stall(time),
            1 => Harm::StallThenCut(time),
            _ => Harm::Cut,
        };
        Fault { side, after, harm }
    }
}

/// Which faults a connection has, by its number from 0.
type Faults = Box<dyn Fn(usize) -> Vec<Fault> + Send + Sync>;

/// A proxy under construction.
pub struct ProxyBuilder {
    upstream: u16,
    delay: Duration,
    faults: Faults,
}

/// A running proxy; its connections are cut when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: u16,
    delay: Duration,
    faults: Faults,
    accepted: AtomicUsize,
    harmed: AtomicUsize,
    passed: AtomicU64,
    closed: AtomicBool,
    /// Both ends of each connection, and how many of its directions are still open.
    open: Mutex<BTreeMap<usize, ([TcpStream; 2], usize)>>,
    paused: Mutex<bool>,
    resumed: Condvar,
}

impl ProxyBuilder {
    /// How long bytes are under way, each way.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What happens to each connection.
    #[must_use]
    pub fn faults(mut self, faults: impl Fn(usize) -> Vec<Fault> + Send + Sync + 'static) -> Self {
        self.faults = Box::new(faults);
        self
    }

    /// Listens on a free port of 127.0.0.1.
    #[track_caller]
    pub fn start(self) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream: self.upstream,
            delay: self.delay,
            faults: self.faults,
            accepted: AtomicUsize::new(0),
            harmed: AtomicUsize::new(0),
            passed: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            open: Mutex::default(),
            paused: Mutex::new(false),
            resumed: Condvar::new(),
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for client in listener.incoming() {
                    if shared.closed.load(Ordering::SeqCst) {
                        break;
                    }
                    if let Ok(client) = client {
                        shared.connect(client);
                    }
                }
            }
        });
        Proxy { port, shared }
    }
}

impl Proxy {
    /// One that passes everything on, to the server's TCP port.
    #[track_caller]
    pub fn start(server: &Server) -> Self {
        Self::builder(server).start()
    }

    pub fn builder(server: &Server) -> ProxyBuilder {
        ProxyBuilder {
            upstream: server.port(),
            delay: Duration::ZERO,
            faults: Box::new(|_| Vec::new()),
        }
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database's URL, by way of the proxy.
    pub fn url(&self, db: &Db) -> String {
        let direct = format!("@127.0.0.1:{}/", db.server().port());
        let through = format!("@127.0.0.1:{}/", self.port);
        db.url().replacen(&direct, &through, 1)
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many faults have come to pass.
    pub fn harmed(&self) -> usize {
        self.shared.harmed.load(Ordering::SeqCst)
    }

    /// How many bytes have passed in both directions.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Closes every open connection.
    pub fn cut_all(&self) {
        self.shared.cut_all();
    }

    /// Closes one connection, by its number from 0, if it is open.
    pub fn cut(&self, number: usize) {
        self.shared.cut(number);
    }

    /// Nothing passes until [`Proxy::resume`]; new connections are taken, and wait.
    pub fn pause(&self) {
        *lock(&self.shared.paused) = true;
    }

    pub fn resume(&self) {
        *lock(&self.shared.paused) = false;
        self.shared.resumed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.resume();
        self.shared.cut_all();
        // Wakes the one that listens.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let number = self.accepted.fetch_add(1, Ordering::SeqCst);
        // A server that is down refuses; so does the proxy then, by closing.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.upstream)) else {
            return;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        lock(&self.open).insert(number, (ends, 2));
        let mut faults = (self.faults)(number);
        faults.sort_by_key(|fault| fault.after);
        let (to_server, to_client): (Vec<_>, Vec<_>) = faults
            .into_iter()
            .partition(|fault| fault.side == Side::ToServer);
        let from_client = client.try_clone().unwrap();
        let from_server = server.try_clone().unwrap();
        self.pump(number, from_client, server, to_server);
        self.pump(number, from_server, client, to_client);
    }

    /// Two threads: one that reads and does harm, one that writes when it is time.
    fn pump(
        self: &Arc<Self>,
        number: usize,
        from: TcpStream,
        mut to: TcpStream,
        faults: Vec<Fault>,
    ) {
        let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(PIECES);
        thread::spawn({
            let shared = Arc::clone(self);
            move || shared.read(number, from, &sender, &faults)
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            for (due, bytes) in receiver {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                shared.wait_while_paused();
                if to.write_all(&bytes).is_err() {
                    shared.cut(number);
                    return;
                }
                shared
                    .passed
                    .fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
            // The other end has said its last; what comes the other way may still be on its way.
            drop(to.shutdown(Shutdown::Write));
            let mut open = lock(&shared.open);
            if let Some((_, directions)) = open.get_mut(&number) {
                *directions -= 1;
                if *directions == 0 {
                    open.remove(&number);
                }
            }
        });
    }

    fn read(
        &self,
        number: usize,
        mut from: TcpStream,
        sender: &SyncSender<(Instant, Vec<u8>)>,
        faults: &[Fault],
    ) {
        let mut faults = faults.iter().peekable();
        let mut passed = 0_u64;
        let mut piece = vec![0; PIECE];
        loop {
            while let Some(fault) = faults.next_if(|fault| fault.after <= passed) {
                self.harmed.fetch_add(1, Ordering::SeqCst);
                match fault.harm {
                    Harm::Stall(time) => thread::sleep(time),
                    Harm::StallThenCut(time) => {
                        thread::sleep(time);
                        return self.cut(number);
                    }
                    Harm::Cut => return self.cut(number),
                }
            }
            let most = faults.peek().map_or(PIECE, |fault| {
                usize::try_from(fault.after - passed).map_or(PIECE, |left| left.min(PIECE))
            });
            match from.read(&mut piece[..most]) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    passed += count as u64;
                    let due = Instant::now() + self.delay;
                    if sender.send((due, piece[..count].to_vec())).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn wait_while_paused(&self) {
        let mut paused = lock(&self.paused);
        while *paused {
            paused = self
                .resumed
                .wait(paused)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn cut(&self, number: usize) {
        let ends = lock(&self.open).remove(&number);
        for end in ends.iter().flat_map(|(ends, _)| ends) {
            // It may be closed already.
            drop(end.shutdown(Shutdown::Both));
        }
    }

    fn cut_all(&self) {
        let numbers: Vec<usize> = lock(&self.open).keys().copied().collect();
        numbers.into_iter().for_each(|number| self.cut(number));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

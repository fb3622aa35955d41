//! A network between the client and a store that loses, delays and cuts what it is told to.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// It never arrives.
    Lost,
    /// It is done, and the answer never arrives.
    AnswerLost,
    /// It is done, and half of the answer arrives.
    AnswerCut,
    /// It is not done, and the answer is this status.
    Refused(u16),
    /// It is done, and the answer is this status.
    DoneAndRefused(u16),
    /// It is not done, and the answer has this error code.
    Coded(&'static str),
    /// It takes a while.
    Late,
    /// It takes so long that something else may happen meanwhile.
    #[allow(dead_code, reason = "for the tests of backups")]
    VeryLate,
}

struct State {
    upstream: u16,
    without_conditions: bool,
    /// Sizes of parts by upload and number, where an upload of unequal ones is refused.
    equal_parts: Option<Mutex<BTreeMap<(String, u32), usize>>>,
    always: Option<Harm>,
    /// At which request, counted from 1.
    once: Mutex<Option<(usize, Harm)>>,
    /// What the first lines of the requests have that are counted.
    counted: Mutex<String>,
    requests: AtomicUsize,
    /// Bytes of answers that were passed on.
    down: AtomicU64,
    seen: Mutex<Vec<String>>,
}

/// A port that stands for the store's; one request per connection.
pub struct Network {
    port: u16,
    state: Arc<State>,
}

impl Network {
    pub fn new(upstream: u16) -> Self {
        Self::start(State {
            upstream,
            without_conditions: false,
            equal_parts: None,
            always: None,
            once: Mutex::new(None),
            counted: Mutex::default(),
            requests: AtomicUsize::new(0),
            down: AtomicU64::new(0),
            seen: Mutex::new(Vec::new()),
        })
    }

    fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        // Both end with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || pass(client, &state));
            }
        });
        Self { port, state }
    }

    fn changed(self, change: impl FnOnce(&mut State)) -> Self {
        let mut state = State {
            upstream: self.state.upstream,
            without_conditions: self.state.without_conditions,
            equal_parts: self.state.equal_parts.as_ref().map(|_| Mutex::default()),
            always: self.state.always,
            once: Mutex::new(None),
            counted: Mutex::default(),
            requests: AtomicUsize::new(0),
            down: AtomicU64::new(0),
            seen: Mutex::new(Vec::new()),
        };
        change(&mut state);
        Self::start(state)
    }

    /// Takes conditions out of requests that write.
    pub fn without_conditions(self) -> Self {
        self.changed(|state| state.without_conditions = true)
    }

    /// Refuses to complete an upload whose parts, but for the last, are not of one size, as R2 does.
    pub fn with_equal_parts(self) -> Self {
        self.changed(|state| state.equal_parts = Some(Mutex::default()))
    }

    pub fn always(self, harm: Harm) -> Self {
        self.changed(|state| state.always = Some(harm))
    }

    /// Begins to count anew, and harms the request of this number.
    pub fn harm(&self, number: usize, harm: Harm) {
        self.harm_one_of("", number, harm);
    }

    /// As [`Network::harm`], of the requests alone whose first line has this.
    pub fn harm_one_of(&self, line: &str, number: usize, harm: Harm) {
        *self.state.once.lock().unwrap() = Some((number, harm));
        *self.state.counted.lock().unwrap() = line.to_owned();
        self.state.requests.store(0, Ordering::SeqCst);
        self.state.seen.lock().unwrap().clear();
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first lines of the requests.
    pub fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Bytes of all answers since the last call.
    pub fn take_bytes(&self) -> u64 {
        self.state.down.swap(0, Ordering::SeqCst)
    }
}

/// Whatever breaks here is a broken connection to the client, which is what is tested.
fn pass(client: TcpStream, state: &State) {
    let _ = try_pass(client, state);
}

fn try_pass(mut client: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    let (mut first, mut length) = (String::new(), 0_usize);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_lowercase();
        if first.is_empty() {
            first = line.trim().to_owned();
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if lower.starts_with("connection:")
            || (state.without_conditions && lower.starts_with("if-none-match:"))
        {
            continue;
        }
        head.push_str(&line);
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let is_counted = first.contains(state.counted.lock().unwrap().as_str());
    let before = state
        .requests
        .fetch_add(is_counted.into(), Ordering::SeqCst);
    let number = if is_counted { before + 1 } else { 0 };
    let line = first.clone();
    state.seen.lock().unwrap().push(first);
    let once = *state.once.lock().unwrap();
    let harm = once
        .filter(|(at, _)| *at == number)
        .map(|(_, harm)| harm)
        .or(state.always);
    match harm {
        Some(Harm::Lost) => return Ok(()),
        Some(Harm::Refused(status)) => return refuse(&mut client, status, "Harmed"),
        Some(Harm::Coded(code)) => return refuse(&mut client, 400, code),
        Some(Harm::Late) => thread::sleep(Duration::from_millis(30)),
        Some(Harm::VeryLate) => thread::sleep(Duration::from_millis(500)),
        _ => {}
    }
    if !are_equal(state, &line, length) {
        return refuse(&mut client, 400, "InvalidPart");
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", state.upstream))?;
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    match harm {
        Some(Harm::AnswerLost) => return Ok(()),
        Some(Harm::DoneAndRefused(status)) => return refuse(&mut client, status, "Harmed"),
        Some(Harm::AnswerCut) => answer.truncate(answer.len() / 2),
        _ => {}
    }
    state.down.fetch_add(answer.len() as u64, Ordering::SeqCst);
    client.write_all(&answer)
}

/// Takes note of a part; whether an upload may be completed, as far as its parts' sizes go.
fn are_equal(state: &State, line: &str, length: usize) -> bool {
    let Some(sizes) = &state.equal_parts else {
        return true;
    };
    let mut sizes = sizes.lock().unwrap();
    let query = line.split(['?', ' ']).nth(2).unwrap_or_default();
    let field = |name: &str| {
        let mut fields = query.split('&').filter_map(|it| it.split_once('='));
        fields.find_map(|(found, value)| (found == name).then(|| value.to_owned()))
    };
    let Some(upload) = field("uploadId") else {
        return true;
    };
    if let Some(number) = field("partNumber") {
        sizes.insert((upload, number.parse().unwrap()), length);
        return true;
    }
    let of: Vec<usize> = sizes
        .iter()
        .filter(|((of, _), _)| *of == upload)
        .map(|(_, size)| *size)
        .collect();
    let (last, others) = match of.split_last() {
        Some((last, others)) if line.starts_with("POST") => (last, others),
        _ => return true,
    };
    others.iter().all(|it| *it == others[0]) && others.first().is_none_or(|it| last <= it)
}

fn refuse(client: &mut TcpStream, status: u16, code: &str) -> io::Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>the network did it</Message></Error>");
    client.write_all(
        format!(
            "HTTP/1.1 {status} Harmed\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    )
}

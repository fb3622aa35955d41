//! Who is told what, all at once.

use std::collections::BTreeSet;
use std::path::Path;

use futures::future::{BoxFuture, join_all};
use reqwest::Method;

use super::attempt::{Patience, read};
use super::http::{self, Address, Request};
use super::mail::{Errand, Mailer};
use super::message::{Message, Purpose};
use super::notice::{Delivery, Notice, Work};
use super::settings::{Form, Occasion, Ping, Settings, Webhook};
use crate::error::{Context as _, Error, Kind, Result};
use crate::secret::SecretFrom;

/// Tells others what has happened.
pub struct Notifier {
    patience: Patience,
    mail: Option<Mailer>,
    webhooks: Vec<(String, Webhook)>,
    ping: Option<Ping>,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let webhooks: Vec<&String> = self.webhooks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Notifier")
            .field("mail", &self.mail.as_ref().map(Mailer::channel))
            .field("webhooks", &webhooks)
            .field("ping", &self.ping.is_some())
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// What can be seen to be wrong without asking anybody: in addresses, URLs that stand there, names of headers.
    /// Each is a [`Kind::Usage`] that names the key.
    pub fn mistakes(&self) -> Vec<Error> {
        let given = |url: &SecretFrom| match url {
            SecretFrom::Text(url) => Address::new(url).map(|_| ()),
            _ => Ok(()),
        };
        let mut checked: Vec<Result<()>> = Vec::new();
        if let Some(mail) = &self.mail {
            let mailer = Mailer::new(mail.clone()).map(|_| ());
            checked.push(mailer.context_with(|| "notification by mail"));
        }
        for (name, webhook) in &self.webhook {
            let within = |done: Result<()>| done.context_with(|| format!("webhook {name}"));
            checked.push(within(given(&webhook.url)));
            for header in webhook.headers.keys() {
                checked.push(within(http::header_name(header).map(|_| ())));
            }
        }
        if let Some(ping) = &self.ping {
            let urls = [Some(&ping.url), ping.start.as_ref(), ping.fail.as_ref()];
            let urls = urls.into_iter().flatten();
            checked.extend(urls.map(|url| given(url).context_with(|| "ping")));
        }
        checked.into_iter().filter_map(Result::err).collect()
    }

    /// Whether nothing is wrong.
    ///
    /// # Errors
    /// The first of [`Settings::mistakes`].
    pub fn validate(&self) -> Result<()> {
        self.mistakes().into_iter().next().map_or(Ok(()), Err)
    }
}

/// Whether these occasions want to be told of this one. A recovery is a success too.
fn is_wanted(on: &BTreeSet<Occasion>, kind: Occasion) -> bool {
    on.contains(&kind) || kind == Occasion::Recovered && on.contains(&Occasion::Succeeded)
}

/// A way to somebody, under way.
type Telling<'a> = BoxFuture<'a, Delivery>;

impl Notifier {
    /// Takes the settings.
    ///
    /// # Errors
    /// The first of [`Settings::mistakes`].
    pub fn new(settings: Settings) -> Result<Self> {
        settings.validate()?;
        Ok(Self {
            patience: Patience::new(&settings),
            mail: settings.mail.map(Mailer::new).transpose()?,
            webhooks: settings.webhook.into_iter().collect(),
            ping: settings.ping,
        })
    }

    /// Tells it everybody who wants to know, all at once; one answer for each way. That something has begun is
    /// tried once.
    pub async fn send(&self, notice: &Notice) -> Vec<Delivery> {
        let message = Message::new(notice, Purpose::Tell);
        let patience = match notice.kind {
            Occasion::Started => self.patience.once(),
            _ => self.patience,
        };
        let mut ways = self.by_message(&message, patience, |on| is_wanted(on, notice.kind));
        if let Some(ping) = self.ping.as_ref().filter(|_| notice.work == Work::Backup) {
            ways.push(Box::pin(tell_ping(ping, &message, notice.kind, patience)));
        }
        join_all(ways).await
    }

    /// Sends a test to everybody who is told by mail or webhook, whatever he wants to know. Pings are left
    /// alone: they would take it for a backup.
    pub async fn send_test(&self, notice: &Notice) -> Vec<Delivery> {
        let message = Message::new(notice, Purpose::Test);
        join_all(self.by_message(&message, self.patience.once(), |_| true)).await
    }

    /// Finds out whether everybody could be told, and tells nobody: the mail server is connected to, encryption and login
    /// are made, and it is asked for nothing; the hosts of webhooks and pings are asked for their front page.
    pub async fn check(&self) -> Vec<Delivery> {
        let once = self.patience.once();
        let mut ways: Vec<Telling<'_>> = Vec::new();
        if let Some(mailer) = &self.mail {
            ways.push(Box::pin(async move {
                let done = once.run(|| Box::pin(mailer.run(Errand::Look))).await;
                delivery(mailer.channel(), done)
            }));
        }
        for (name, webhook) in &self.webhooks {
            let channel = format!("webhook {name}");
            ways.push(Box::pin(async move {
                let mut request = match webhook_request(webhook, String::new()).await {
                    Ok(request) => request,
                    Err(error) => return delivery(channel, (0, Some(error))),
                };
                request.address = request.address.root();
                look(channel, request, webhook.ca_file.as_deref(), once).await
            }));
        }
        if let Some(ping) = &self.ping {
            ways.push(Box::pin(async move {
                let address = match address(&ping.url).await {
                    Ok(address) => address.root(),
                    Err(error) => return delivery("ping".to_owned(), (0, Some(error))),
                };
                let request = Request::get(address);
                look("ping".to_owned(), request, ping.ca_file.as_deref(), once).await
            }));
        }
        join_all(ways).await
    }

    fn by_message<'a>(
        &'a self,
        message: &'a Message,
        patience: Patience,
        wants: impl Fn(&BTreeSet<Occasion>) -> bool,
    ) -> Vec<Telling<'a>> {
        let mut ways: Vec<Telling<'a>> = Vec::new();
        if let Some(mailer) = self.mail.as_ref().filter(|it| wants(&it.settings().on)) {
            ways.push(Box::pin(async move {
                let done = patience.run(|| Box::pin(mailer.run(Errand::Send(message))));
                delivery(mailer.channel(), done.await)
            }));
        }
        for (name, webhook) in self.webhooks.iter().filter(|(_, it)| wants(&it.on)) {
            ways.push(Box::pin(async move {
                let channel = format!("webhook {name}");
                let body = match webhook.form {
                    Form::Json => message.json(),
                    Form::Slack => message.slack(),
                };
                let request = async {
                    let body = body.map_err(|error| {
                        Error::new(Kind::Failed, format!("write the message: {error}"))
                    })?;
                    webhook_request(webhook, body).await
                };
                match request.await {
                    Ok(request) => {
                        post(channel, request, webhook.ca_file.as_deref(), patience).await
                    }
                    Err(error) => delivery(channel, (0, Some(error))),
                }
            }));
        }
        ways
    }
}

fn delivery(channel: String, (tries, error): (u32, Option<Error>)) -> Delivery {
    Delivery {
        channel,
        tries,
        error,
    }
}

async fn address(url: &SecretFrom) -> Result<Address> {
    Address::new(&read(url, "url").await?)
}

async fn webhook_request(webhook: &Webhook, body: String) -> Result<Request> {
    let address = address(&webhook.url).await?;
    let mut request = Request::post(address, "application/json", body);
    for (name, value) in &webhook.headers {
        request.set_header(name, &read(value, &format!("header {name}")).await?)?;
    }
    if let Some(key) = &webhook.sign_with {
        request.sign(&read(key, "sign_with").await?)?;
    }
    Ok(request)
}

async fn tell_ping(ping: &Ping, message: &Message, kind: Occasion, patience: Patience) -> Delivery {
    let channel = "ping".to_owned();
    let (own, word) = match kind {
        Occasion::Started => (ping.start.as_ref(), Some("start")),
        Occasion::Failed => (ping.fail.as_ref(), Some("fail")),
        Occasion::Succeeded | Occasion::Recovered => (None, None),
    };
    let address = match (own, word) {
        (Some(own), _) => address(own).await,
        (None, Some(word)) => address(&ping.url).await.map(|it| it.with_word(word)),
        (None, None) => address(&ping.url).await,
    };
    let address = match address {
        Ok(address) => address,
        Err(error) => return delivery(channel, (0, Some(error))),
    };
    let body = message.error.clone().unwrap_or_default();
    let request = Request::post(address, "text/plain; charset=utf-8", body);
    post(channel, request, ping.ca_file.as_deref(), patience).await
}

async fn post(
    channel: String,
    request: Request,
    ca_file: Option<&Path>,
    patience: Patience,
) -> Delivery {
    let channel = format!("{channel} at {}", request.address.host());
    let done = match http::client(ca_file).await {
        Ok(client) => patience.run(|| Box::pin(request.send(&client))).await,
        Err(error) => (0, Some(error)),
    };
    delivery(channel, done)
}

async fn look(
    channel: String,
    mut request: Request,
    ca_file: Option<&Path>,
    patience: Patience,
) -> Delivery {
    request.method = Method::GET;
    let channel = format!("{channel} at {}", request.address.host());
    let done = match http::client(ca_file).await {
        Ok(client) => patience.run(|| Box::pin(request.reaches(&client))).await,
        Err(error) => (0, Some(error)),
    };
    delivery(channel, done)
}

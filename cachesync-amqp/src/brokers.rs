//! The brokers of one cluster: which is asked for a session, in what order, and what is said when none gives one.
//!
//! Each attempt goes through all of them, in a random order of its own. So the nodes of a service spread over the
//! brokers when they start, and over the others when one dies, instead of all going to the next of the list; a broker
//! that accepts sessions and does not keep them is left sooner or later, which would not be so if the one that worked last
//! came first; and one that is back gets its part as sessions end and begin, without any that has to move.
//!
//! Each broker has an equal share of what is left of the time, for all steps of its session: one that swallows packets, or
//! accepts and says nothing, must not cost the others their turn. What a quick refusal leaves is there for the others.

use std::{fmt, slice, time::Duration};

use cachesync_core::{BackendError, BackendErrorKind};
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::url::BrokerUrl;

/// At least one URL. All of one virtual host, and all with TLS or none.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Brokers(Vec<BrokerUrl>);

impl Brokers {
    /// The brokers that `list` names, URLs with commas between them.
    ///
    /// Only a comma before `amqp://` or `amqps://` separates, since a password may have one. It cannot hold a whole `://`,
    /// as its slashes have to be escaped.
    pub(crate) fn parse_list(list: &str) -> Result<Self, BackendError> {
        let starts = list.match_indices(',').map(|(comma, _)| comma).filter(|comma| {
            let next = list[comma + 1..].trim_start();
            next.starts_with("amqp://") || next.starts_with("amqps://")
        });
        let mut urls = Vec::new();
        let mut start = 0;
        for comma in starts {
            urls.push(list[start..comma].trim());
            start = comma + 1;
        }
        urls.push(list[start..].trim());
        Self::new(urls)
    }

    /// The brokers at these URLs.
    pub(crate) fn new<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, BackendError> {
        let urls = urls.into_iter().map(str::parse).collect::<Result<Vec<BrokerUrl>, _>>()?;
        let Some((first, others)) = urls.split_first() else {
            return Err(disagree("there is none; name at least one broker"));
        };
        for other in others {
            // Exchanges are of a virtual host: the nodes would go to one or the other by chance, and not hear each other.
            if other.vhost != first.vhost {
                return Err(disagree(&format!(
                    "the virtual host is `{}` at {} and `{}` at {}; the nodes of a service meet in one of them",
                    first.vhost.escape_debug(),
                    first.address(),
                    other.vhost.escape_debug(),
                    other.address()
                )));
            }
            // Else whoever can keep the others from answering would be sent the password in clear.
            if other.tls != first.tls {
                return Err(disagree("some are `amqps://` and some `amqp://`; use TLS with all of them, or with none"));
            }
        }
        let brokers = Self(urls);
        brokers.heartbeat()?;
        brokers.connect_timeout()?;
        Ok(brokers)
    }

    /// `?heartbeat=`, which those URLs that have it must agree on.
    pub(crate) fn heartbeat(&self) -> Result<Option<Duration>, BackendError> {
        self.agreed("heartbeat", |url| url.heartbeat)
    }

    /// `?connection_timeout=`, which those URLs that have it must agree on.
    pub(crate) fn connect_timeout(&self) -> Result<Option<Duration>, BackendError> {
        self.agreed("connection_timeout", |url| url.connect_timeout)
    }

    fn agreed(
        &self,
        name: &str,
        parameter: impl Fn(&BrokerUrl) -> Option<Duration>,
    ) -> Result<Option<Duration>, BackendError> {
        let mut values = self.iter().filter_map(parameter);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(disagree(&format!("the parameter `{name}` differs; it holds for all of them")));
        }
        Ok(first)
    }

    pub(crate) fn iter(&self) -> slice::Iter<'_, BrokerUrl> {
        self.0.iter()
    }

    /// Whether these are with TLS.
    pub(crate) fn tls(&self) -> bool {
        self.0[0].tls
    }

    /// What `open` makes of the first broker with which it succeeds, in a random order and within `limit`.
    ///
    /// # Errors
    ///
    /// With one broker, its error. With several, an error that says what each of them answered; its kind is theirs if they
    /// agree, else `Refused` if one refuses, since that needs somebody to mend it, and else `Unreachable`. A
    /// `Configuration` error is the same with every broker, and is returned at once.
    ///
    /// # Cancel safety
    ///
    /// That of `open`, of which at most one future exists at a time.
    pub(crate) async fn first_that_opens<'a, T, F: Future<Output = Result<T, BackendError>>>(
        &'a self,
        limit: Duration,
        open: impl Fn(&'a BrokerUrl, Duration) -> F,
    ) -> Result<T, BackendError> {
        let mut order: Vec<&BrokerUrl> = self.iter().collect();
        order.shuffle(&mut rand::rng());
        first_in_order(&order, limit, open).await
    }
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

async fn first_in_order<'a, T, F: Future<Output = Result<T, BackendError>>>(
    order: &[&'a BrokerUrl],
    limit: Duration,
    open: impl Fn(&'a BrokerUrl, Duration) -> F,
) -> Result<T, BackendError> {
    let deadline = Instant::now() + limit;
    let mut errors = Vec::with_capacity(order.len());
    for (left, url) in (1..=u32::try_from(order.len()).unwrap_or(u32::MAX)).rev().zip(order) {
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match open(url, share).await {
            Ok(session) => return Ok(session),
            Err(error) if error.kind() == BackendErrorKind::Configuration => return Err(error),
            Err(error) => {
                if left > 1 {
                    tracing::debug!(%url, %error, "this broker gives no session; the next one is asked");
                }
                errors.push(error);
            }
        }
    }
    Err(summary(errors))
}

/// All errors as one. Each names its broker's address.
fn summary(mut errors: Vec<BackendError>) -> BackendError {
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let kinds = || errors.iter().map(BackendError::kind);
    let kind = match kinds().next() {
        Some(first) if kinds().all(|kind| kind == first) => first,
        _ if kinds().any(|kind| kind == BackendErrorKind::Refused) => BackendErrorKind::Refused,
        _ => BackendErrorKind::Unreachable,
    };
    let told: Vec<_> = errors.iter().zip(1..).map(|(error, number)| format!("({number}) {error}")).collect();
    let message = format!("none of the {} brokers gives a session: {}", errors.len(), told.join("; "));
    BackendError::new(kind, message)
}

fn disagree(reason: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Configuration, format!("the brokers' URLs cannot be used together: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(12);

    fn list(text: &str) -> Brokers {
        Brokers::parse_list(text).expect(text)
    }

    fn refusal(text: &str) -> String {
        let error = Brokers::parse_list(text).expect_err(text);
        assert_eq!(error.kind(), BackendErrorKind::Configuration);
        error.to_string()
    }

    #[test]
    fn a_list_is_divided_at_commas_before_a_url_and_not_in_passwords() {
        for text in ["amqp://a,amqp://b:1", " amqp://a , amqp://b:1 ", "amqp://a,\n  amqp://b:1\n"] {
            assert_eq!(format!("{:?}", list(text)), "[amqp://guest@a:5672/%2F, amqp://guest@b:1/%2F]", "{text}");
        }
        let brokers = list("amqp://shop:hunter,2,amqp@a/v,amqp://shop:hunter,2@b/v");
        let passwords: Vec<_> = brokers.iter().map(|url| url.to_lapin(1).authority.userinfo.password).collect();
        assert_eq!(passwords, ["hunter,2,amqp", "hunter,2"]);
        assert!(!format!("{brokers:?}").contains("hunter"));
    }

    #[test]
    fn what_belongs_to_one_cluster_agrees() {
        for (text, hint) in [
            ("amqp://a/shop,amqp://b", "the virtual host is `shop` at a:5672 and `/` at b:5672"),
            ("amqps://a,amqp://b", "use TLS with all of them"),
            ("amqp://a?heartbeat=3,amqp://b?heartbeat=4", "`heartbeat` differs"),
            ("amqp://a?connection_timeout=3,amqp://b?connection_timeout=4", "`connection_timeout` differs"),
            ("amqp://a,", "write the whole URL of each broker"),
            ("amqp://shop:hunter2@a,b", "write the whole URL of each broker"),
            ("amqp://a,b:5672", "write the whole URL of each broker"),
            ("amqp://a:5672,b:5672", "write the whole URL of each broker"),
            ("amqp://shop:hunter2@a/v,shop:hunter2@b/v", "an `@` behind the host"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(hint) && !refusal.contains("hunter2"), "{text}: {refusal}");
        }
        assert!(Brokers::new([]).unwrap_err().to_string().contains("at least one"));
        // Users are of the cluster, but need not be the same; and a parameter need not be repeated.
        let brokers = list("amqp://shop@a?heartbeat=3,amqp://orders@b");
        assert_eq!(brokers.heartbeat().unwrap(), Some(Duration::from_secs(3)));
        assert_eq!(brokers.connect_timeout().unwrap(), None);
    }

    #[test]
    fn the_order_is_random_and_names_each_broker_once() {
        let brokers = list("amqp://a,amqp://b,amqp://c");
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let asked = std::cell::RefCell::new(Vec::new());
            let opening = brokers.first_that_opens(LIMIT, |url, _| {
                asked.borrow_mut().push(url.host.clone());
                std::future::ready(Err::<(), _>(error(BackendErrorKind::Unreachable, url)))
            });
            futures_util::future::FutureExt::now_or_never(opening).expect("nothing to wait for").unwrap_err();
            let mut asked = asked.into_inner();
            firsts.insert(asked[0].clone());
            asked.sort();
            assert_eq!(asked, ["a", "b", "c"]);
        }
        assert_eq!(firsts.len(), 3);
    }

    fn error(kind: BackendErrorKind, url: &BrokerUrl) -> BackendError {
        BackendError::new(kind, format!("{kind:?} at {}", url.address()))
    }

    /// What comes of asking brokers at these ports, in this order, and when. 1 is silent for its share, 2 unreachable at
    /// once, 3 refuses at once, 4 opens at once, 5 opens after 5 s, 6 is wrong by configuration.
    async fn ask(ports: &[u16]) -> (Result<u16, BackendError>, Duration) {
        let start = Instant::now();
        let urls: Vec<BrokerUrl> = ports.iter().map(|port| format!("amqp://h:{port}").parse().unwrap()).collect();
        let open = async |url: &BrokerUrl, share| match url.port {
            1 => {
                tokio::time::sleep(share).await;
                Err(error(BackendErrorKind::Timeout, url))
            }
            2 => Err(error(BackendErrorKind::Unreachable, url)),
            3 => Err(error(BackendErrorKind::Refused, url)),
            5 => match tokio::time::timeout(share, tokio::time::sleep(Duration::from_secs(5))).await {
                Ok(()) => Ok(5),
                Err(_) => Err(error(BackendErrorKind::Timeout, url)),
            },
            6 => Err(error(BackendErrorKind::Configuration, url)),
            port => Ok(port),
        };
        (first_in_order(&urls.iter().collect::<Vec<_>>(), LIMIT, open).await, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_costs_its_share_of_the_time_and_no_more() {
        for (ports, opened, seconds) in
            [(&[4][..], 4, 0), (&[1, 4], 4, 6), (&[1, 1, 4], 4, 8), (&[2, 3, 5], 5, 5), (&[1, 5], 5, 11)]
        {
            let (result, elapsed) = ask(ports).await;
            assert_eq!((result.unwrap(), elapsed), (opened, Duration::from_secs(seconds)), "{ports:?}");
        }
        // 4 s are left of 12, and it needs 5.
        let (result, elapsed) = ask(&[1, 1, 5]).await;
        assert_eq!((result.unwrap_err().kind(), elapsed), (BackendErrorKind::Timeout, LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_says_what_each_broker_answered_and_what_somebody_has_to_mend() {
        for (ports, kind) in [
            (&[2][..], BackendErrorKind::Unreachable),
            (&[3, 3], BackendErrorKind::Refused),
            (&[2, 3, 1], BackendErrorKind::Refused),
            (&[1, 1], BackendErrorKind::Timeout),
            (&[1, 2], BackendErrorKind::Unreachable),
        ] {
            let (result, elapsed) = ask(ports).await;
            let error = result.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(elapsed <= LIMIT);
            for port in ports {
                assert!(error.to_string().contains(&format!("at h:{port}")), "{error}");
            }
        }
        let message = ask(&[2, 3]).await.0.unwrap_err().to_string();
        assert_eq!(message, "none of the 2 brokers gives a session: (1) Unreachable at h:2; (2) Refused at h:3");
        assert_eq!(ask(&[2]).await.0.unwrap_err().to_string(), "Unreachable at h:2");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_with_every_broker_is_said_once() {
        let (result, elapsed) = ask(&[6, 1, 4]).await;
        assert_eq!((result.unwrap_err().to_string().as_str(), elapsed), ("Configuration at h:6", Duration::ZERO));
    }
}

//! The client of the API server, with each request counted and timed under client-go's names.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response, StatusCode};
use kube::client::{Body, ClientBuilder};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, exponential_buckets};
use tower_layer::Layer;
use tower_service::Service;

/// `rest_client_requests_total` and `rest_client_request_duration_seconds`.
#[derive(Clone, Debug)]
pub struct RequestSeries {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl RequestSeries {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let series = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "rest_client_requests_total",
                    "Requests to the API server, by status code, method and host.",
                ),
                &["code", "method", "host"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "rest_client_request_duration_seconds",
                    "Seconds to the headers of the API server's answer, by method and host.",
                )
                .buckets(exponential_buckets(0.001, 2.0, 16)?),
                &["verb", "host"],
            )?,
        };
        registry.register(Box::new(series.requests.clone()))?;
        registry.register(Box::new(series.seconds.clone()))?;
        Ok(series)
    }

    pub(super) fn note(&self, code: &str, method: &str, host: &str, started: Instant) {
        self.requests.with_label_values(&[code, method, host]).inc();
        self.seconds.with_label_values(&[method, host]).observe(started.elapsed().as_secs_f64());
    }
}

/// A client whose requests are counted.
///
/// kube's hidden retries are off: callers back off by themselves, and a hidden retry would neither be counted nor
/// end at the caller's deadline.
///
/// # Errors
/// When the configuration's certificates, proxy or authentication cannot be used.
pub fn client(mut config: kube::Config, series: &RequestSeries) -> kube::Result<kube::Client> {
    config.default_retry = false;
    let layer = Counting { series: series.clone(), host: host(&config.cluster_url) };
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Host and port alone: an authority may hold a password, and a label is for everybody to read.
fn host(server: &http::Uri) -> Arc<str> {
    let host = server.host().unwrap_or_default();
    server.port_u16().map_or_else(|| host.into(), |port| format!("{host}:{port}").into())
}

/// The layer around kube's own.
#[derive(Clone)]
struct Counting {
    series: RequestSeries,
    /// The server's host and port; the request has only a path when it passes here.
    host: Arc<str>,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, counting: self.clone() }
    }
}

/// A service whose calls are counted.
struct Counted<S> {
    inner: S,
    counting: Counting,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Counting { series, host } = self.counting.clone();
        let method = request.method().clone();
        let started = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            // client-go's word for "no answer at all".
            let status = answer.as_ref().ok().map(Response::status);
            let code = status.as_ref().map_or("<error>", StatusCode::as_str);
            series.note(code, method.as_str(), &host, started);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Answers every request with one status.
    struct Server(u16);

    impl Service<Request<Body>> for Server {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<()>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            std::future::ready(Ok(Response::builder().status(self.0).body(()).unwrap()))
        }
    }

    #[tokio::test]
    async fn a_request_is_counted_by_code_method_and_host() {
        let series = RequestSeries::new(&Registry::new()).unwrap();
        let layer = Counting { series: series.clone(), host: "kubernetes.default.svc:443".into() };
        for (status, method) in [(200, "GET"), (200, "GET"), (409, "PATCH")] {
            let request = Request::builder().method(method).body(Body::empty()).unwrap();
            layer.layer(Server(status)).call(request).await.unwrap();
        }
        let count = |code, method| {
            series.requests.with_label_values(&[code, method, "kubernetes.default.svc:443"]).get()
        };
        assert_eq!((count("200", "GET"), count("409", "PATCH")), (2, 1));
        let seconds = series.seconds.with_label_values(&["GET", "kubernetes.default.svc:443"]);
        assert_eq!(seconds.get_sample_count(), 2);
    }

    #[test]
    fn the_label_of_a_server_is_its_host_and_port_and_never_its_password() {
        for (server, label) in [
            ("https://admin:hunter2@10.0.0.1:6443", "10.0.0.1:6443"),
            ("https://admin:hunter2@cluster.example.com/api", "cluster.example.com"),
            ("https://[2001:db8::1]:6443", "[2001:db8::1]:6443"),
        ] {
            assert_eq!(&*host(&server.parse().unwrap()), label);
        }
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_counted_as_an_error() {
        let series = RequestSeries::new(&Registry::new()).unwrap();
        rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
        // Port 1 of the loopback has no server.
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let answer = client(config, &series).unwrap().apiserver_version().await;
        assert!(answer.is_err());
        assert_eq!(series.requests.with_label_values(&["<error>", "GET", "127.0.0.1:1"]).get(), 1);
    }
}

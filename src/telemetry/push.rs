//! Pushing metrics to an OpenTelemetry collector (OTLP over HTTP, protobuf).

use super::TelemetryError;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{MetricExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::metrics::PeriodicReader;
use std::{env, time::Duration};
use tokio::runtime::Handle;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the environment says that metrics go (OpenTelemetry's rules: the metrics' own variable is a whole URL, the
/// common one a base).
pub(super) fn endpoint_from_environment() -> Option<String> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT").or_else(|| {
        variable("OTEL_EXPORTER_OTLP_ENDPOINT")
            .map(|base| format!("{}/v1/metrics", base.trim_end_matches('/')))
    })
}

/// A reader that pushes once a minute (`OTEL_METRIC_EXPORT_INTERVAL`).
///
/// # Errors
/// The address is none that this service can reach.
pub(super) fn reader(
    endpoint: &str,
    runtime: &Handle,
) -> Result<PeriodicReader<MetricExporter>, TelemetryError> {
    if !endpoint.starts_with("http://") {
        return Err(TelemetryError::Endpoint(endpoint.into()));
    }
    let client =
        OnRuntime { client: HyperClient::with_default_connector(TIMEOUT, None), runtime: runtime.clone() };
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Metrics(error.to_string()))?;
    Ok(PeriodicReader::builder(exporter).build())
}

/// Sends on the service's runtime: the reader exports from a thread of its own, where hyper finds no reactor.
#[derive(Debug)]
struct OnRuntime {
    client: HyperClient,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

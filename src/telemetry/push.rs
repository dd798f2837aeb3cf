//! Pushing metrics to an OpenTelemetry collector (OTLP over HTTP, protobuf).

use super::TelemetryError;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{MetricExporter, WithHttpConfig as _};
use opentelemetry_sdk::metrics::PeriodicReader;
use std::{env, time::Duration};
use tokio::runtime::Handle;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A reader that pushes once a minute (`OTEL_METRIC_EXPORT_INTERVAL`), if the environment names a collector.
///
/// # Errors
/// The collector's address is none that this service can reach.
pub(super) fn reader_from_environment(
    runtime: &Handle,
) -> Result<Option<PeriodicReader<MetricExporter>>, TelemetryError> {
    let endpoint = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    let Some(endpoint) = endpoint else { return Ok(None) };
    if !endpoint.starts_with("http://") {
        return Err(TelemetryError::Endpoint(endpoint));
    }
    let client =
        OnRuntime { client: HyperClient::with_default_connector(TIMEOUT, None), runtime: runtime.clone() };
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()
        .map_err(|error| TelemetryError::Metrics(error.to_string()))?;
    Ok(Some(PeriodicReader::builder(exporter).build()))
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

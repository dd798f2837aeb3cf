//! Multi-Region keys, where LocalStack differs from KMS: it drops a replica's tags, tells a replica of no later ones, and
//! lets a key go that still has replicas.

use super::{answer::Answer, request::Request, upstream::Upstream};
use serde_json::{Value, json};

/// Puts what KMS says in the place of what LocalStack says of a multi-Region key.
pub(super) async fn mend(upstream: &Upstream, request: &Request, answer: &mut Answer) {
    match request.operation.as_str() {
        "DescribeKey" => describe(upstream, request, &mut answer.body["KeyMetadata"]).await,
        "ReplicateKey" => replicated(upstream, request, answer).await,
        "ScheduleKeyDeletion" => {
            let key = json!({"KeyId": answer.body["KeyId"]});
            let mut metadata = upstream.ask(&request.instead("DescribeKey", key)).await.body;
            describe(upstream, request, &mut metadata["KeyMetadata"]).await;
            let metadata = &metadata["KeyMetadata"];
            if metadata["KeyState"] == "PendingReplicaDeletion" {
                answer.body["KeyState"] = metadata["KeyState"].clone();
                remove(&mut answer.body, "DeletionDate");
            }
        }
        _ => {}
    }
}

async fn describe(upstream: &Upstream, request: &Request, metadata: &mut Value) {
    let of = &metadata["MultiRegionConfiguration"];
    let Some(home) = of["PrimaryKey"]["Region"].as_str() else { return };
    if of["MultiRegionKeyType"] == "REPLICA" {
        let primary = json!({"KeyId": of["PrimaryKey"]["Arn"]});
        let primary = upstream.ask(&request.instead("DescribeKey", primary).elsewhere(home)).await.body;
        let known = &primary["KeyMetadata"]["MultiRegionConfiguration"]["ReplicaKeys"];
        metadata["MultiRegionConfiguration"]["ReplicaKeys"] = known.clone();
    } else if metadata["KeyState"] == "PendingDeletion" && of["ReplicaKeys"] != json!([]) {
        // Its time begins when the last replica is gone.
        metadata["KeyState"] = json!("PendingReplicaDeletion");
        remove(metadata, "DeletionDate");
    }
}

async fn replicated(upstream: &Upstream, request: &Request, answer: &mut Answer) {
    let Some(region) = request.text("ReplicaRegion").filter(|_| answer.is_ok()) else { return };
    let Some(tags) = request.body.get("Tags") else { return };
    let key = &answer.body["ReplicaKeyMetadata"]["KeyId"];
    let tag = request.instead("TagResource", json!({"KeyId": key, "Tags": tags})).elsewhere(region);
    let tagged = upstream.ask(&tag).await;
    answer.body["ReplicaTags"] = tags.clone();
    if !tagged.is_ok() {
        *answer = tagged;
    }
}

fn remove(from: &mut Value, field: &str) {
    if let Some(fields) = from.as_object_mut() {
        fields.remove(field);
    }
}

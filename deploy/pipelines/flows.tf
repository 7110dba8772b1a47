# Add this to the configuration of your flows: which flows the job deploys, in the form of flows.txt. The id of a
# genesyscloud_flow is the flow's. Name what Terraform publishes a flow for, and nothing else.
output "flows" {
  value = <<-LIST
    ${genesyscloud_flow.main_ivr.id} flows/main-ivr.yaml
    ${genesyscloud_flow.support.id} flows/support.yaml
  LIST
}

/** What GraphiQL shows to somebody who opens it for the first time. */
export const FIRST_QUERIES = `# Play runs the operation that the cursor is in.

query Overview {
  viewer { name bindings { role } }
  tenants(first: 5) { nodes { name state } }
  clusters(first: 5) { nodes { name state apiEndpoint blockers { message fault } } }
  operations(first: 5) { nodes { kind state progress { percent } error { code message } } }
}

# Every change that you may see, as it happens: start something in another tab.
subscription Changes {
  events { change kind resourceId cursor node { __typename } }
}
`;

/**
 * GraphQL.js, by its file. The package holds itself twice, and Vitest would give our code the one copy and Nest the other,
 * which then do not know each other's classes. Under Node both names mean this file.
 */
export * from 'graphql/index.js';

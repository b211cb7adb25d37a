/** Of credentials for people's own tools. A working day: they cannot be called back, so it is short. */
export const DEFAULT_CREDENTIAL_MINUTES = 8 * 60;
export const MAX_CREDENTIAL_MINUTES = 24 * 60;

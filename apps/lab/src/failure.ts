/** Why a command ends other than well; says what would be right. */
export class Failure extends Error {
  override readonly name = 'Failure';
}

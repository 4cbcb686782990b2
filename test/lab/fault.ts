/**
 * The lab did not give a test what it needs, such as a sender that kept its pace: no verdict on the code under
 * test. The runner ends with "lab broken" for it.
 */
export class LabFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LabFault";
  }
}

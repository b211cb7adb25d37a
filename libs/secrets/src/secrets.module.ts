import { Module, type DynamicModule } from '@nestjs/common';
import { KEY_PROVIDER, type KeyProvider } from './encryption/key-provider.js';
import { SecretService } from './secret/secret.service.js';

@Module({})
export class SecretsModule {
  /** @param keys the configuration's key ring, or a key management service's provider */
  static register(keys: KeyProvider): DynamicModule {
    return {
      module: SecretsModule,
      global: true,
      providers: [{ provide: KEY_PROVIDER, useValue: keys }, SecretService],
      exports: [SecretService],
    };
  }
}

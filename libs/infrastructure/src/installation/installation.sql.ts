import { statement } from '#database';

export const findInstallation = statement<{ id: string }>('installation.find', 'SELECT id FROM installation');
